#include "base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace berth::base {
namespace {

std::string text_of(int error) {
  std::string why = std::strerror(error);
  if (error == EACCES || error == EPERM) why += " (as user " + std::to_string(::geteuid()) + ")";
  return why;
}

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat s {};
    if (fd_ < 0) {
      why_ = text_of(errno);
    } else if (::fstat(fd_, &s) == 0 && S_ISDIR(s.st_mode)) {
      why_ = "is a directory";
    }
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }
  const std::string& why() const { return why_; }

 private:
  int fd_;
  std::string why_;
};

}  // namespace

std::string why_unreadable(const std::string& path) {
  return Descriptor(path).why();
}

std::string read_file(const std::string& path) {
  const auto fail = [&path](const std::string& why) {
    return std::runtime_error(path + ": cannot be read: " + why);
  };
  const Descriptor file(path);
  if (!file.why().empty()) throw fail(file.why());
  std::string text;
  char some[16384];
  for (;;) {
    const ssize_t n = ::read(file.fd(), some, sizeof some);
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw fail(text_of(errno));
    text.append(some, static_cast<std::size_t>(n));
  }
}

}  // namespace berth::base
