#include "gateway/engine/login_memory.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

namespace berth::gateway::engine {
namespace {

constexpr std::uint64_t kLayout = 0x6265727468000001;  // another one for another Content

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

LoginMemory::LoginMemory(int fd) : fd_(fd), content_(nullptr) {
  if (fd_ >= 0 && map()) return;
  if (fd_ >= 0) ::close(fd_);
  fd_ = memfd_create("berth-logins", MFD_CLOEXEC);
  if (fd_ < 0 || !map()) fail("memory of log-ins");
}

// False: it is of another layout, and an engine of that release may still be using it.
bool LoginMemory::map() {
  struct stat s {};
  if (fstat(fd_, &s) != 0) fail("memory of log-ins");
  if (s.st_size == 0 && ftruncate(fd_, sizeof(Content)) != 0) fail("memory of log-ins");
  if (s.st_size != 0 && s.st_size != static_cast<off_t>(sizeof(Content))) return false;
  void* p = mmap(nullptr, sizeof(Content), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (p == MAP_FAILED) fail("memory of log-ins");
  content_ = static_cast<Content*>(p);
  if (content_->layout == kLayout) return true;
  if (content_->layout != 0) {
    munmap(content_, sizeof(Content));
    return false;
  }
  if (getrandom(&content_->key, sizeof content_->key, 0) != sizeof content_->key)
    fail("random bytes");
  content_->layout = kLayout;
  return true;
}

LoginMemory::~LoginMemory() {
  munmap(content_, sizeof(Content));
  ::close(fd_);
}

std::uint64_t LoginMemory::hash(Table t, std::string_view bytes) const {
  const auto table = static_cast<std::uint64_t>(t);
  const base::SipKey key{content_->key.k0 ^ table, content_->key.k1};
  return std::max<std::uint64_t>(1, base::siphash(key, bytes));
}

LoginMemory::Entry* LoginMemory::ways(Table t, std::uint64_t hash) {
  return content_->entries[static_cast<std::size_t>(t)] + (hash % (kTracked / kWays)) * kWays;
}

LoginMemory::Entry* LoginMemory::find(Table t, std::uint64_t hash) {
  Entry* const first = ways(t, hash);
  Entry* const found =
      std::find_if(first, first + kWays, [hash](const Entry& e) { return e.hash == hash; });
  if (found == first + kWays) return nullptr;
  note(found);
  return found;
}

LoginMemory::Entry& LoginMemory::make(Table t, std::uint64_t hash) {
  if (Entry* e = find(t, hash)) return *e;
  Entry* const first = ways(t, hash);
  Entry* const oldest = std::min_element(first, first + kWays, [](const Entry& a, const Entry& b) {
    return a.hash == 0 ? b.hash != 0 : b.hash != 0 && a.at_ms < b.at_ms;
  });
  *oldest = {.hash = hash, .at_ms = 0, .failures = 0};
  note(oldest);
  return *oldest;
}

void LoginMemory::track_changes() {
  is_changed_.resize(kPlaces);
}

// Its caller writes it next: what is taken later has that too.
void LoginMemory::note(const Entry* e) {
  if (is_changed_.empty()) return;
  const auto place = static_cast<std::uint32_t>(e - content_->entries[0]);
  if (is_changed_[place]) return;
  is_changed_[place] = true;
  changed_.push_back(place);
}

std::vector<LoginMemory::Change> LoginMemory::take_changes(std::size_t max) {
  std::vector<Change> all;
  const std::size_t n = std::min(max, changed_.size());
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t place = changed_[changed_.size() - 1 - i];
    is_changed_[place] = false;
    all.push_back({place, content_->entries[place / kTracked][place % kTracked]});
  }
  changed_.resize(changed_.size() - n);
  return all;
}

void LoginMemory::put(const Change& c) {
  if (c.place >= kPlaces) return;
  Entry& e = content_->entries[c.place / kTracked][c.place % kTracked];
  if (c.entry.at_ms >= e.at_ms) e = c.entry;
}

}  // namespace berth::gateway::engine
