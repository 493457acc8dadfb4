// Engine processes that have ended without being asked. The shards and partitions of an edge that
// the same engine served count its death once. Any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

namespace berth::gateway::cluster {

class DeadEngines {
 public:
  static constexpr std::size_t kKept = 64;  // the oldest is forgotten
  // True: this death was not counted yet. Always true for 0: an older release does not name its
  // process.
  bool note(std::uint64_t process) {
    if (process == 0) return true;
    const std::lock_guard lock(mutex_);
    if (std::find(known_.begin(), known_.end(), process) != known_.end()) return false;
    if (known_.size() == kKept) known_.pop_front();
    known_.push_back(process);
    return true;
  }

 private:
  std::mutex mutex_;
  std::deque<std::uint64_t> known_;  // the oldest first
};

}  // namespace berth::gateway::cluster
