#include "store/store_mark.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace berth::session {
namespace {

constexpr std::size_t kSize = 4096;
constexpr std::uint64_t kMagic = 0x6b72616d68747242;  // "Brthmark"

}  // namespace

// The file. `magic` is written last, and `sequence` alone changes afterwards: there is no moment at
// which a killed process leaves a wrong pair.
struct StoreMark::Words {
  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint64_t> database;
  std::atomic<std::uint64_t> sequence;
  std::atomic<std::uint64_t> lost;
};

StoreMark::StoreMark(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  // Its blocks must be there: a page that finds no room on the disk would end the process.
  int error = fd < 0 ? errno : ::posix_fallocate(fd, 0, kSize);
  if (error == 0) {
    void* p = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) words_ = static_cast<Words*>(p);
    if (p == MAP_FAILED) error = errno;
  }
  if (fd >= 0) ::close(fd);
  if (error != 0)
    BERTH_LOG(warn, "store's mark not kept file={} error=\"{}\"", path, std::strerror(error));
}

StoreMark::~StoreMark() {
  if (words_ != nullptr) ::munmap(words_, kSize);
}

std::optional<StoreMark::Said> StoreMark::said() const {
  if (words_ == nullptr || words_->magic != kMagic) return std::nullopt;
  return Said{words_->database, words_->sequence};
}

void StoreMark::begin(std::uint64_t database, std::uint64_t sequence) {
  if (words_ == nullptr) return;
  if (words_->magic != kMagic) words_->lost = 0;
  words_->magic = 0;
  words_->database = database;
  words_->sequence = sequence;
  words_->magic = kMagic;
}

void StoreMark::reached(std::uint64_t sequence) {
  if (words_ != nullptr) words_->sequence.store(sequence, std::memory_order_relaxed);
}

void StoreMark::add_lost(std::uint64_t writes) {
  if (words_ != nullptr) words_->lost += writes;
}

std::uint64_t StoreMark::lost() const {
  return words_ == nullptr ? 0 : words_->lost.load();
}

// FNV-1a: the same in every build.
std::uint64_t StoreMark::hash(std::string_view identity) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (const char c : identity) h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return h;
}

}  // namespace berth::session
