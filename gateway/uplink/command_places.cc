#include "gateway/uplink/command_places.h"

namespace berth::gateway::uplink {

bool CommandPlaces::take() {
  std::unique_lock lock(mutex_);
  if (taken_ >= max_) {
    if (stalled_ || ended_) return false;
    stalled_ = !changed_.wait_for(lock, wait_, [this] { return taken_ < max_ || ended_; });
    if (stalled_ || ended_) return false;
  }
  ++taken_;
  return true;
}

void CommandPlaces::free() {
  {
    const std::lock_guard lock(mutex_);
    --taken_;
    stalled_ = false;
  }
  changed_.notify_all();
}

void CommandPlaces::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

}  // namespace berth::gateway::uplink
