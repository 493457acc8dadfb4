#include "gateway/runtime/last_good.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "base/read_file.h"

namespace berth::gateway::runtime {
namespace {

constexpr std::string_view kWord = "# berth last good, sha256 ";

std::string headed(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  std::string all(kWord);
  for (const unsigned char b : digest) {
    constexpr const char* kHex = "0123456789abcdef";
    all.push_back(kHex[b >> 4]);
    all.push_back(kHex[b & 15]);
  }
  all.push_back('\n');
  return all.append(bytes);
}

std::optional<std::string> contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// So that the name is there after a loss of power too.
bool sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  return synced;
}

bool replace(const std::string& directory, const std::string& path, std::string_view bytes) {
  const std::string draft = path + "." + std::to_string(::getpid());
  ::unlink(draft.c_str());
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool good = write_all(fd, bytes) && ::fsync(fd) == 0;
  good = ::close(fd) == 0 && good;
  good = good && std::rename(draft.c_str(), path.c_str()) == 0;
  if (!good) {
    const int why = errno;
    ::unlink(draft.c_str());
    errno = why;
    return false;
  }
  return sync_directory(directory);
}

}  // namespace

bool can_be_kept(const std::string& directory) {
  if (directory.empty()) return false;
  ::mkdir(directory.c_str(), 0700);
  return ::access(directory.c_str(), W_OK | X_OK) == 0;
}

LastGood::LastGood(std::string directory)
    : directory_(directory.empty() ? std::string() : std::move(directory) + "/last-good") {}

std::string LastGood::path(std::string_view name) const {
  return directory_ + "/" + std::string(name);
}

bool LastGood::keep(std::string_view name, std::string_view bytes) const {
  if (directory_.empty()) return false;
  const std::string all = headed(bytes);
  const std::string at = path(name);
  if (contents(at) == all) return true;
  ::mkdir(directory_.substr(0, directory_.rfind('/')).c_str(), 0700);
  ::mkdir(directory_.c_str(), 0700);
  if (replace(directory_, at, all)) return true;
  BERTH_LOG(warn, "last good copy not kept file={} error=\"{}\"", at, std::strerror(errno));
  return false;
}

std::optional<std::string> LastGood::read(std::string_view name) const {
  if (directory_.empty()) return std::nullopt;
  const auto all = contents(path(name));
  if (!all) return std::nullopt;
  const std::size_t end = all->find('\n');
  if (all->starts_with(kWord) && end != std::string::npos) {
    std::string bytes = all->substr(end + 1);
    if (headed(bytes) == *all) return bytes;
  }
  BERTH_LOG(err, "last good copy is damaged file={}", path(name));
  return std::nullopt;
}

void keep_all(const std::string& directory, const std::vector<NamedFile>& files) {
  if (!can_be_kept(directory)) return;
  const LastGood copies(directory);
  for (const NamedFile& f : files) {
    try {  // of the set that is in force, where one is read
      copies.keep(f.name, base::read_file(f.path));
    } catch (const std::runtime_error&) {
      continue;
    }
  }
}

std::optional<std::vector<std::string>> copies_of(const std::string& directory,
                                                  const std::vector<NamedFile>& files) {
  if (directory.empty()) return std::nullopt;
  const LastGood copies(directory);
  std::vector<std::string> paths;
  for (const NamedFile& f : files) {
    if (!copies.read(f.name)) return std::nullopt;
    paths.push_back(copies.path(f.name));
  }
  return paths;
}

}  // namespace berth::gateway::runtime
