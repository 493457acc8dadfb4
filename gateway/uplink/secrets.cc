#include "gateway/uplink/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace berth::gateway::uplink {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::runtime_error(path + ": " + why);
}

// Its descriptor. A pipe is opened without waiting for its other end.
int open_regular(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  struct stat s {};
  const bool known = ::fstat(fd, &s) == 0;
  const char* const why = !known || !S_ISREG(s.st_mode) ? "is no regular file"
                          : static_cast<std::size_t>(s.st_size) > kSecretFileMax
                              ? "is larger than a secret or certificate"
                              : nullptr;
  if (why == nullptr) return fd;
  ::close(fd);
  refuse(path, why);
}

void check_place(const std::string& path, const std::string& directory) {
  std::error_code ec;
  const auto real = std::filesystem::canonical(path, ec);
  const auto of = std::filesystem::canonical(directory, ec);
  const auto [end, rest] = std::mismatch(of.begin(), of.end(), real.begin(), real.end());
  if (ec || end != of.end()) refuse(path, "is not in uplinks.files_dir");
}

}  // namespace

std::string secret_in(const std::string& path) {
  const int fd = open_regular(path);
  std::string s(kSecretFileMax, '\0');
  std::size_t size = 0;
  ssize_t n = 0;
  while (size < s.size() && (n = ::read(fd, s.data() + size, s.size() - size)) > 0)
    size += static_cast<std::size_t>(n);
  const int error = n < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) refuse(path, std::string("cannot be read: ") + std::strerror(error));
  s.resize(size);
  while (s.ends_with('\n') || s.ends_with('\r')) s.pop_back();
  return s;
}

void check_files(const UplinkConfig& c) {
  for (const std::string* path :
       {&c.password_file, &c.ca_file, &c.cert_file, &c.key_file, &c.secret_file, &c.token_file}) {
    if (path->empty()) continue;
    ::close(open_regular(*path));
    if (!c.files_dir.empty()) check_place(*path, c.files_dir);
  }
}

}  // namespace berth::gateway::uplink
