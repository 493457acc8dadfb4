// The memory of input that devices have sent and no engine has acknowledged, after log-in: in all,
// and by holder. A holder is a tenant, or an address while the tenant is not known. What one holder
// keeps must not stop the others (I9). Knows numbers, no sockets; of one shard, one thread.
//
//   limit        bytes in all. Above it only those are read who have a place, and those with
//                nothing kept, a few KiB at a time
//   share        a quarter of the limit: of one holder; then its connections with input wait
//                (where the limit is small: one connection's, or half of the limit)
//   places       a packet of which more than kFree has come needs a place of its whole size. Places
//                are a quarter of the limit in all, an eighth for one holder; who gets none is not
//                read and waits in a line. A holder without a place gets one beyond these (`extra`)
//                while there is room below the limit: one large packet of each holder is always
//                under way.
#pragma once

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace berth::gateway::edge {

enum class Place : std::uint8_t { none, waiting, held, extra };

class InputBudget {
 public:
  using Holder = std::uint32_t;
  static constexpr Holder kOwn = 0;                // the gateway's own streams: no share
  static constexpr std::size_t kFree = 64 * 1024;  // bytes of an unfinished packet without a place

  // `connection_max`: bytes kept of one connection.
  InputBudget(std::size_t limit, std::size_t connection_max);

  // Counts one more connection of the holder with this key. There is at most one holder for each
  // connection.
  Holder enter(std::uint64_t key);
  // Counts one connection less. REQUIRES: the holder's last connection has no bytes and no place.
  void leave(Holder h);

  void add(Holder h, std::size_t n) {
    total_ += n;
    holders_[h].bytes += n;
  }
  void take(Holder h, std::size_t n) {
    total_ -= n;
    holders_[h].bytes -= n;
  }
  std::size_t total() const { return total_; }
  bool full() const { return total_ >= limit_; }
  // Who has kept input and no place waits.
  bool full_for(Holder h) const { return full() || (h != kOwn && holders_[h].bytes >= share_); }
  // Somebody waits for what this holder has: its unfinished packets must move or make room.
  bool contended(Holder h) const {
    const bool scarce = !line_.empty() && reserved_ >= places_max_ - places_max_ / 8;
    return full_for(h) || holders_[h].in_line != 0 || (scarce && holders_[h].places != 0);
  }
  std::size_t bytes_of(Holder h) const { return holders_[h].bytes; }

  // For a packet of `size` bytes. `waiting`: in the line, by its connection.
  Place ask(Holder h, std::size_t size, base::ConnId conn);
  void give_back(Holder h, std::size_t size, Place kind);
  // One in the line that has got a place, as `held` or `extra`. `waits`: does that connection
  // still wait? Looks at some of the line only: call it when a place is given back, when somebody
  // in the line goes, and from time to time.
  struct Granted {
    base::ConnId conn;
    Place kind = Place::none;
  };
  //
  // By turns the one that has waited longest and the one that came last: a newcomer need not wait
  // until all of those who only hold places have been closed, and nobody waits for ever.
  template <class Waits>
  std::optional<Granted> next(Waits&& waits) {
    newest_ = !newest_;
    for (std::size_t n = std::min(line_.size(), kLookedAt); n-- != 0;) {
      const Waiting w = newest_ ? line_.back() : line_.front();
      newest_ ? line_.pop_back() : line_.pop_front();
      const bool there = waits(w.conn);
      const Place p = there ? grant(w.holder, w.size) : Place::none;
      if (there && p == Place::none) {
        newest_ ? line_.push_front(w) : line_.push_back(w);
        continue;
      }
      left_line(w.holder);
      if (there) return Granted{w.conn, p};
    }
    return std::nullopt;
  }
  std::size_t in_line() const { return line_.size(); }

 private:
  struct State {
    std::uint64_t key = 0;
    std::size_t bytes = 0;
    std::size_t reserved = 0;  // of its places
    std::uint32_t connections = 0;
    std::uint32_t places = 0;
    std::uint32_t in_line = 0;
  };
  struct Waiting {
    base::ConnId conn;
    Holder holder = 0;
    std::size_t size = 0;
  };
  static constexpr std::size_t kLookedAt = 64;
  Place grant(Holder h, std::size_t size);
  void left_line(Holder h);

  std::size_t limit_;
  std::size_t share_ = 0;
  std::size_t places_max_ = 0;
  std::size_t places_share_ = 0;
  std::size_t total_ = 0;
  std::size_t reserved_ = 0;
  std::vector<State> holders_;
  std::vector<Holder> unused_;
  boost::unordered_flat_map<std::uint64_t, Holder> by_key_;
  std::deque<Waiting> line_;
  bool newest_ = true;  // the last that was served
};

}  // namespace berth::gateway::edge
