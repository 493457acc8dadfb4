#include "gateway/runtime/file_set.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <utility>

#include "base/text.h"

namespace berth::gateway::runtime {
namespace {

constexpr int kAttempts = 20;
constexpr const char* kData = "..data";

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

using Identity = std::array<std::int64_t, 5>;

Identity identity_of(const struct stat& s) {
  const auto ns = [](const timespec& t) {
    return t.tv_sec * std::int64_t{1'000'000'000} + t.tv_nsec;
  };
  return {static_cast<std::int64_t>(s.st_dev), static_cast<std::int64_t>(s.st_ino), s.st_size,
          ns(s.st_mtim), ns(s.st_ctim)};
}

// Of a path that leads to no file: zeros.
Identity identity_at(const std::string& path) {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0 ? identity_of(s) : Identity{};
}

std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

// One directory of the set, with the generation that its `..data` led to when it was opened.
class Directory {
 public:
  explicit Directory(const std::string& path)
      : own_(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    error_ = own_ ? 0 : errno;
    if (own_) data_ = Fd(::openat(own_.get(), kData, O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  // -1 with errno. A name without a link of its own yet is looked for in the generation: the
  // kubelet makes the links of new keys after the swap.
  int open(const std::string& name) const {
    if (!own_) {
      errno = error_;
      return -1;
    }
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a FIFO blocks nobody
    if (!data_) return ::openat(own_.get(), name.c_str(), kFlags);
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(own_.get(), name.c_str(), target, sizeof target);
    const std::string_view to(target, n > 0 ? static_cast<std::size_t>(n) : 0);
    const std::string within = std::string(kData) + "/";
    if (to.starts_with(within))
      return ::openat(data_.get(), std::string(to.substr(within.size())).c_str(), kFlags);
    const int fd = ::openat(own_.get(), name.c_str(), kFlags);
    return fd >= 0 || errno != ENOENT ? fd : ::openat(data_.get(), name.c_str(), kFlags);
  }

 private:
  Fd own_;
  Fd data_;  // none: nothing is mounted here
  int error_ = 0;
};

struct Read {
  base::FileText text;
  Identity identity{};
  Fd fd;  // open until all is read: no later file has its inode meanwhile
};

Read read_one(const Directory& directory, const std::string& name) {
  Read r;
  r.fd = Fd(directory.open(name));
  struct stat s {};
  if (!r.fd || ::fstat(r.fd.get(), &s) != 0) {
    r.text.why_not = base::why_of(errno);
    return r;
  }
  r.identity = identity_of(s);
  if (S_ISDIR(s.st_mode)) r.text.why_not = "is a directory";
  char some[16384];
  while (r.text.why_not.empty()) {
    const ssize_t n = ::read(r.fd.get(), some, sizeof some);
    if (n == 0) break;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      r.text.why_not = base::why_of(errno);
    } else {
      r.text.bytes.append(some, static_cast<std::size_t>(n));
      if (r.text.bytes.size() > kSetFileMax) r.text.why_not = "larger than 64 MiB";
    }
  }
  if (!r.text.why_not.empty()) r.text.bytes.clear();
  return r;
}

std::string sha256(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

std::string hash_of(const base::FileTexts& texts) {
  std::string all;
  for (const auto& [path, text] : texts) all += sha256(path) + sha256(text.bytes);
  return base::to_hex(sha256(all));
}

FileSet attempt(const std::vector<std::string>& paths) {
  FileSet set;
  std::map<std::string, std::unique_ptr<Directory>> directories;
  std::vector<std::pair<std::string, Read>> read;
  for (const std::string& path : paths) {
    if (path.empty() || set.texts.contains(path)) continue;
    const auto [directory, name] = split(path);
    auto& open = directories[directory];
    if (!open) open = std::make_unique<Directory>(directory);
    read.emplace_back(path, read_one(*open, name));
    set.texts[path] = {};
  }
  set.settled = std::all_of(read.begin(), read.end(), [](const auto& r) {
    return identity_at(r.first) == r.second.identity;
  });
  for (auto& [path, r] : read) set.texts[path] = std::move(r.text);
  set.hash = hash_of(set.texts);
  return set;
}

}  // namespace

bool FileSet::lacks_any() const {
  return std::any_of(texts.begin(), texts.end(),
                     [](const auto& t) { return !t.second.why_not.empty(); });
}

FileSet read_set(const std::vector<std::string>& paths) {
  FileSet best = attempt(paths);
  for (int i = 1; i < kAttempts && !best.settled; ++i) {
    FileSet set = attempt(paths);
    if (set.settled || !set.lacks_any() || best.lacks_any()) best = std::move(set);
  }
  return best;
}

SetStamp stamp_of(const std::vector<std::string>& paths) {
  SetStamp stamp;
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    const Identity one = identity_at(path);
    stamp.missing = stamp.missing || one == Identity{};
    stamp.values.insert(stamp.values.end(), one.begin(), one.end());
  }
  return stamp;
}

}  // namespace berth::gateway::runtime
