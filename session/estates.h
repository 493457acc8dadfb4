// An Estate is the unacknowledged queue of an ended session with shared subscriptions, on its way
// to other group members (MQTT 5.0 4.8.2). Estates knows which session is next, and what of each
// queue is in memory. The queue stays in the store, under its session's number, until the last
// message of it has been handed on. Owned by the Broker; one shard.
//
// Bounds: one Estate for each ended session, so no more than there may be sessions. Each has at
// most one read of the store (256 messages, 1 MiB) in memory; kReadsMax of them read at a time.
// Tenants, and users without a tenant, have their turns one after the other.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "session/fair_queue.h"
#include "session/message.h"

namespace berth::session {

struct Estate {
  struct Held {
    MessagePtr message;     // null: it is not handed on
    std::uint64_t seq = 0;  // of its entry in the store, 0: it has none
    std::uint8_t qos = 0;
    std::uint8_t mark = 0;  // group_mark()
    bool retain = false;
  };
  std::vector<std::uint32_t> groups;  // route_of_group() of its shared subscriptions, in order
  std::deque<Held> held;              // the next ones
  std::uint64_t fair_key = 0;
  std::uint64_t from = 1;        // of the next read
  std::uint64_t maybe_sent = 0;  // messages up to here may have reached the device
  std::uint64_t ticket = 0;      // of the read under way, 0: none
  bool read_all = false;         // the rest is in `held`
};

class Estates {
 public:
  static constexpr std::size_t kReadsMax = 4;
  bool has(base::SessionId id) const { return !all_.empty() && all_.contains(id.value); }
  Estate* find(base::SessionId id) {
    const auto it = all_.find(id.value);
    return it == all_.end() ? nullptr : &it->second;
  }
  const Estate& at(base::SessionId id) const { return all_.at(id.value); }
  Estate& add(base::SessionId id, Estate e) { return all_[id.value] = std::move(e); }
  void erase(base::SessionId id) {
    const auto it = all_.find(id.value);
    if (it == all_.end()) return;
    if (it->second.ticket != 0) --reads_;
    all_.erase(it);
  }
  std::size_t size() const { return all_.size(); }
  std::vector<base::SessionId> ids() const {
    std::vector<base::SessionId> out;
    for (const auto& [id, e] : all_) out.push_back({id});
    return out;
  }

  // Its turn will come. One that has been erased meanwhile is passed over.
  void wait(base::SessionId id, std::uint64_t fair_key) { waiting_.push(fair_key, id); }
  std::size_t waiting() const { return waiting_.size(); }
  base::SessionId next() { return waiting_.pop(); }  // REQUIRES: waiting() != 0

  bool may_read() const { return reads_ < kReadsMax; }
  void reading(Estate& e, std::uint64_t ticket) {
    e.ticket = ticket;
    ++reads_;
  }
  void has_read(Estate& e) {
    e.ticket = 0;
    --reads_;
  }

  // The messages of this session have killed engines (I12): they are not handed on.
  void skip(std::uint64_t session) { skipped_.insert(session); }
  bool is_skipped(base::SessionId id) const { return skipped_.contains(id.value); }

 private:
  std::map<std::uint64_t, Estate> all_;  // by session
  FairQueue<base::SessionId> waiting_;
  std::size_t reads_ = 0;
  boost::unordered_flat_set<std::uint64_t> skipped_;
};

}  // namespace berth::session
