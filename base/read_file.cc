#include "base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace berth::base {
namespace {

thread_local const FileTexts* read_from = nullptr;

const FileText* text_read(const std::string& path) {
  if (read_from == nullptr) return nullptr;
  const auto it = read_from->find(path);
  return it == read_from->end() ? nullptr : &it->second;
}

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat s {};
    if (fd_ < 0) {
      why_ = why_of(errno);
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

ReadFrom::ReadFrom(const FileTexts& texts) : before_(read_from) {
  read_from = &texts;
}

ReadFrom::~ReadFrom() {
  read_from = before_;
}

std::string why_of(int error) {
  std::string why = std::strerror(error);
  if (error == EACCES || error == EPERM) why += " (as user " + std::to_string(::geteuid()) + ")";
  return why;
}

std::string why_unreadable(const std::string& path) {
  if (const FileText* text = text_read(path)) return text->why_not;
  return Descriptor(path).why();
}

std::string read_file(const std::string& path) {
  const auto fail = [&path](const std::string& why) {
    return std::runtime_error(path + ": cannot be read: " + why);
  };
  if (const FileText* text = text_read(path)) {
    if (!text->why_not.empty()) throw fail(text->why_not);
    return text->bytes;
  }
  const Descriptor file(path);
  if (!file.why().empty()) throw fail(file.why());
  std::string text;
  char some[16384];
  for (;;) {
    const ssize_t n = ::read(file.fd(), some, sizeof some);
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw fail(why_of(errno));
    text.append(some, static_cast<std::size_t>(n));
  }
}

}  // namespace berth::base
