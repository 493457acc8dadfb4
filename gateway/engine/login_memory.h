// What is remembered of log-ins from one engine to the next: counters of failures, under keyed
// 64-bit hashes, never a name. A fixed piece of memory. The supervisor makes it and gives its
// descriptor to each engine it starts, so a guesser does not begin anew when an engine ends; an
// engine without a supervisor has one of its own. Read and written by the engine that serves, on
// its thread; an engine that is killed in the middle of a write leaves one wrong counter at worst.
//
// Three tables of kTracked entries each, eight places for a hash: what comes when these are taken
// replaces the oldest of the eight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/siphash.h"

namespace berth::gateway::engine {

class LoginMemory {
 public:
  static constexpr std::size_t kTracked = std::size_t{1} << 17;
  enum class Table : std::uint8_t { addresses, names, known };
  struct Entry {
    std::uint64_t hash;  // 0: a free place
    std::int64_t at_ms;  // when it was last written
    double failures;
  };

  LoginMemory() : LoginMemory(-1) {}
  // Maps what another process has made, and closes `fd` in the end; -1, or one of another release's
  // layout: makes one. Throws std::system_error.
  explicit LoginMemory(int fd);
  ~LoginMemory();
  LoginMemory(const LoginMemory&) = delete;
  LoginMemory& operator=(const LoginMemory&) = delete;
  int fd() const { return fd_; }  // close-on-exec

  std::uint64_t hash(Table t, std::string_view bytes) const;
  Entry* find(Table t, std::uint64_t hash);  // null: not remembered
  Entry& make(Table t, std::uint64_t hash);  // a new one if it is not there

  // -- for a copy elsewhere (cluster/login_keeper.h). On the thread of the engine that serves, or
  // before there is one.
  struct Change {
    std::uint32_t place;  // below kPlaces
    Entry entry;
  };
  static constexpr std::size_t kPlaces = 3 * kTracked;
  void track_changes();
  // What has been looked at or written since it was last taken, `max` at most; the rest later.
  std::vector<Change> take_changes(std::size_t max);
  bool has_changes() const { return !changed_.empty(); }
  // What another engine has counted there; an entry that is newer stays.
  void put(const Change& c);
  base::SipKey key() const { return content_->key; }
  void use_key(const base::SipKey& key) { content_->key = key; }  // before anything is counted

 private:
  bool map();
  static constexpr std::size_t kWays = 8;
  struct Content {
    std::uint64_t layout;
    base::SipKey key;
    Entry entries[3][kTracked];
  };
  Entry* ways(Table t, std::uint64_t hash);
  void note(const Entry* e);
  int fd_;
  Content* content_;
  std::vector<bool> is_changed_;  // by place; empty: nobody asks
  std::vector<std::uint32_t> changed_;
};

}  // namespace berth::gateway::engine
