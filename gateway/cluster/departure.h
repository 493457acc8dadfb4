// How an engine gives up a partition: first it waits until a successor has read the store ahead and
// for edges out of reach, then for its last commits and its edges. Deadlines only, no I/O; times
// are of the monotonic clock. Held by value by the PartitionServer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace berth::gateway::cluster {

class Departure {
 public:
  bool begin() { return !std::exchange(begun_, true); }  // false: begun before
  bool begun() const { return begun_; }
  bool end() { return !std::exchange(ended_, true); }  // false: ended before

  // Successors read the whole store for the warming of this name; we go on serving.
  void await_successor(std::string warming, std::int64_t now_ns, std::uint32_t edge_grace_s) {
    warming_ = std::move(warming);
    successor_by_ns_ = now_ns + kSuccessorWait;
    edges_by_ns_ = now_ns + std::int64_t{edge_grace_s} * 1000 * kMs;
  }
  const std::string& warming() const { return warming_; }  // empty: none
  // True: WE stop waiting, for a successor and for edges out of reach. `warmed`: a successor has
  // read everything.
  bool successor_waits_no_more(std::int64_t now_ns, bool warmed, bool edges_out_of_reach) {
    if (warmed) successor_by_ns_ = std::min(successor_by_ns_, now_ns + kOthersWait);
    return now_ns >= successor_by_ns_ && (!edges_out_of_reach || now_ns >= edges_by_ns_);
  }

  // No more input runs: we wait until its effects are committed and the edges have their steps.
  void await_quiet(std::int64_t now_ns) {
    leave_by_ns_ = now_ns + kAcceptedWait;
    platforms_by_ns_ = now_ns + kPlatformsWait;
  }
  bool edges_late(std::int64_t now_ns) const { return now_ns > leave_by_ns_; }
  bool platforms_late(std::int64_t now_ns) const { return now_ns > platforms_by_ns_; }
  // The store has taken no write for a while.
  bool store_stuck(std::int64_t now_ns, bool store_ok) {
    if (store_ok)
      store_bad_since_ns_ = 0;
    else if (store_bad_since_ns_ == 0)
      store_bad_since_ns_ = now_ns;
    return store_bad_since_ns_ != 0 && now_ns - store_bad_since_ns_ > kStoreStuck;
  }
  bool overdue(std::int64_t now_ns, std::uint32_t drain_s) const {
    return now_ns > leave_by_ns_ + std::int64_t{drain_s} * 1000 * kMs;
  }

 private:
  static constexpr std::int64_t kMs = 1'000'000;
  static constexpr std::int64_t kSuccessorWait = 5000 * kMs;  // for it to have read everything
  static constexpr std::int64_t kOthersWait = 200 * kMs;      // when one has: for younger ones
  static constexpr std::int64_t kStoreStuck = 3000 * kMs;
  static constexpr std::int64_t kAcceptedWait = 500 * kMs;  // for edges to catch up
  // A platform that is near acknowledges what is on its way within milliseconds; one that hangs
  // costs devices this pause.
  static constexpr std::int64_t kPlatformsWait = 100 * kMs;

  bool begun_ = false;
  bool ended_ = false;
  std::string warming_;
  std::int64_t successor_by_ns_ = 0;
  std::int64_t edges_by_ns_ = 0;
  std::int64_t leave_by_ns_ = 0;
  std::int64_t platforms_by_ns_ = 0;
  std::int64_t store_bad_since_ns_ = 0;
};

}  // namespace berth::gateway::cluster
