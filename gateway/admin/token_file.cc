#include "gateway/admin/token_file.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "base/read_file.h"

namespace berth::gateway::admin {

namespace {

std::string random_token() {
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof bytes) != 1) throw std::runtime_error("no random numbers");
  std::string hex;
  for (const unsigned char b : bytes) {
    hex.push_back("0123456789abcdef"[b >> 4]);
    hex.push_back("0123456789abcdef"[b & 15]);
  }
  return hex;
}

std::string token_in(const std::string& path) {
  std::istringstream in(base::read_file(path));
  std::string token;
  in >> token;
  return token;
}

// One that can be guessed is none: whoever has it may change everything.
constexpr std::size_t kTokenMin = 8;
std::string why_bad(const std::string& token) {
  if (token.empty()) return "no token in it";
  if (token.size() >= kTokenMin) return {};
  return "the token has " + std::to_string(token.size()) + " characters, " +
         std::to_string(kTokenMin) + " are needed (openssl rand -hex 32)";
}

[[noreturn]] void fail(const std::string& path) {
  throw std::runtime_error(path + ": " + std::strerror(errno));
}

void make_directory(const std::filesystem::path& directory) {
  if (directory.empty() || std::filesystem::exists(directory)) return;
  make_directory(directory.parent_path());
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) fail(directory);
}

// Whole or not at all, also where two processes begin together. False: somebody else has made it.
bool make(const std::string& path) {
  make_directory(std::filesystem::path(path).parent_path());
  std::string draft = path + ".XXXXXX";
  const int fd = ::mkostemp(draft.data(), O_CLOEXEC);  // 0600
  if (fd < 0) fail(path);
  const std::string text = random_token() + "\n";
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  const bool linked = written && ::link(draft.c_str(), path.c_str()) == 0;
  const int why_not = written ? errno : why;
  ::unlink(draft.c_str());
  errno = why_not;
  if (!linked && errno != EEXIST) fail(path);
  return linked;
}

}  // namespace

TokenFile::TokenFile() : token_(random_token()) {}

TokenFile TokenFile::read(const std::string& path) {
  TokenFile f;
  f.path_ = std::filesystem::absolute(path).lexically_normal();
  f.read_at_ = f.stamp();
  f.token_ = token_in(path);
  if (const std::string why = why_bad(f.token_); !why.empty())
    throw std::runtime_error(path + ": " + why);
  return f;
}

TokenFile TokenFile::read_or_make(const std::string& path) {
  const bool made = !std::filesystem::exists(path) && make(path);
  TokenFile f = read(path);
  f.made_ = made;
  return f;
}

TokenFile::Stamp TokenFile::stamp() const {
  struct stat s {};
  if (::stat(path_.c_str(), &s) != 0) return {};
  return {s.st_ino, s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec};
}

const std::string& TokenFile::current() {
  if (path_.empty()) return token_;
  const Stamp now = stamp();
  if (now == read_at_) return token_;
  std::string token;
  try {
    token = token_in(path_);
  } catch (const std::runtime_error&) {  // it is being replaced: the one before stays
    return token_;
  }
  if (!why_bad(token).empty()) return token_;
  token_ = std::move(token);
  read_at_ = now;
  return token_;
}

bool TokenFile::readable_by_all() const {
  struct stat s {};
  return !path_.empty() && ::stat(path_.c_str(), &s) == 0 && (s.st_mode & S_IROTH) != 0;
}

}  // namespace berth::gateway::admin
