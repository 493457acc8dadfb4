#include "gateway/edge/passages.h"

#include <algorithm>

namespace berth::gateway::edge {

void Passages::tell(Passage p) {
  const std::lock_guard lock(mutex_);
  for (Passage& one : waiting_) {
    if (one.partition != p.partition || one.what != p.what || one.how != p.how ||
        one.of.process != p.of.process || p.ended_ns - one.ended_ns > kSameWithin_ns)
      continue;
    one.gap_ms = std::max(one.gap_ms, p.gap_ms);
    one.held += p.held;
    one.dropped += p.dropped;
    one.gaps.insert(one.gaps.end(), p.gaps.begin(), p.gaps.end());
    return;
  }
  if (waiting_.size() == kWaiting) waiting_.pop_front();
  waiting_.push_back(std::move(p));
}

std::vector<Passages::Passage> Passages::take(std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::vector<Passage> out;
  std::erase_if(waiting_, [&](Passage& p) {
    // Who drains ends soon, and tells at once.
    if (p.what != What::edge_drain && now_ns - p.ended_ns < kSameWithin_ns) return false;
    out.push_back(std::move(p));
    return true;
  });
  return out;
}

}  // namespace berth::gateway::edge
