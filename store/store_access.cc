#include "store/store_access.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <initializer_list>

namespace berth::session {
namespace {

namespace fs = std::filesystem;

std::string name_of(uid_t user) {
  char buffer[1024];
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(user, &entry, buffer, sizeof buffer, &found);
  return std::to_string(user) + (found == nullptr ? "" : std::string(" (") + entry.pw_name + ")");
}

void check(const std::string& path, int mode) {
  if (::faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS) == 0) return;
  const int error = errno;
  if (error != EACCES && error != EPERM && error != EROFS) return;  // not there, or told later
  std::string why = "store " + path + ": " + std::strerror(error);
  struct stat s {};
  if (::stat(path.c_str(), &s) == 0) {
    char bits[16];
    std::snprintf(bits, sizeof bits, "%04o", static_cast<unsigned>(s.st_mode & 07777));
    why += ", owner " + name_of(s.st_uid) + ", mode " + bits;
  }
  throw StoreForbidden(why + "; this process is user " + name_of(::geteuid()) +
                       ", to whom the data directory and everything in it must belong");
}

bool any_of(std::string_view text, std::initializer_list<int> errors) {
  return std::any_of(errors.begin(), errors.end(), [text](int e) {
    return text.find(std::strerror(e)) != std::string_view::npos;
  });
}

}  // namespace

void check_access(const std::string& store) {
  std::error_code ec;
  for (const fs::path& path : {fs::path(store).parent_path(), fs::path(store)}) {
    const bool searched = fs::is_directory(path, ec);  // nobody may search a plain file
    check(path.string(), searched ? R_OK | W_OK | X_OK : R_OK | W_OK);
  }
  check(store + ".mark", R_OK | W_OK);
  for (const auto& file : fs::directory_iterator(store, ec))
    check(file.path().string(), file.path().filename() == "LOCK" ? R_OK | W_OK : R_OK);
}

int holder_of(const std::string& store) {
  const int fd = ::open((store + "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return 0;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool known = ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  if (!known) return 0;
  return lock.l_pid > 0 ? lock.l_pid : -1;
}

bool is_forbidden(std::string_view error) {
  return any_of(error, {EACCES, EPERM, EROFS});
}

bool lacks_resources(std::string_view error) {
  return any_of(error, {EMFILE, ENFILE, ENOMEM});
}

}  // namespace berth::session
