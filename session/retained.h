// The retained messages, ordered by topic so that a walk can stop and go on
// (MQTT 5.0 section 3.3.1.3). Owned by the Broker; one shard.
//
// With partitions (ADR 10) each message has a stamp; of two for one topic the greater is kept, in
// whatever order they come. A removed one leaves its stamp behind (a tombstone) for a while. Stamp
// 0: there are no others, what comes last is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/message.h"
#include "session/turn_budget.h"

namespace berth::session {

class Retained {
 public:
  // Hears of each that comes (1) and goes (-1).
  using Counter = std::function<void(std::string_view topic, int change)>;
  explicit Retained(Counter counter) : counter_(std::move(counter)) {}

  // Is this stamp the newest for `topic`? Then no older one is taken any more.
  bool claim(std::string_view topic, std::uint64_t stamp);
  // False: a newer one has been claimed.
  bool put(std::string_view topic, MessagePtr m, std::uint64_t stamp = 0);
  bool remove(std::string_view topic, std::uint64_t stamp = 0, std::int64_t now_ms = 0);
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return bytes_; }
  bool contains(std::string_view topic) const {
    const auto it = messages_.find(topic);
    return it != messages_.end() && it->second.message;
  }
  void forget(std::string_view topic);  // as if it had never been
  // Forgets tombstones from before `before_ms`, and the oldest of more than `most`; their topics,
  // at most `count`.
  std::vector<std::string> old_tombstones(std::int64_t before_ms, std::size_t most,
                                          std::size_t count);

  struct Found {
    const MessagePtr* message = nullptr;  // valid until the next change
    bool paused = false;                  // the share is spent; go on from `after` in a later turn
  };
  // The first retained message whose topic matches `filter` and sorts after `after` (empty: from
  // the start); neither at the end. Passes over topics that can't match, costs `budget` for each
  // that it looks at and stops when the share is spent: then `after` is the last one looked at.
  Found next(std::string_view filter, std::string& after, TurnBudget& budget) const;

  // The stamp of the message that is retained there; 0: none is.
  std::uint64_t stamp_of(std::string_view topic) const {
    const auto it = messages_.find(topic);
    return it == messages_.end() ? 0 : it->second.stamp;
  }

  struct Expired {
    std::string topic;
    std::uint64_t stamp = 0;
  };
  // Looks at `count` messages behind `after` ("" again at the end).
  std::vector<Expired> expired(base::Instant now, std::string& after, std::size_t count) const;

 private:
  struct Entry {
    MessagePtr message;  // null: a tombstone, or claimed and not put yet
    std::uint64_t stamp = 0;
  };
  void drop(std::string_view topic, Entry& e);

  Counter counter_;
  std::map<std::string, Entry, std::less<>> messages_;
  std::deque<std::pair<std::int64_t, std::string>> tombstones_;  // since when, topic
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace berth::session
