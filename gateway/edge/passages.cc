#include "gateway/edge/passages.h"

#include <algorithm>

namespace berth::gateway::edge {

namespace {

constexpr std::int64_t kSameWithin_ms = 2000;

}  // namespace

void Passages::tell(const Passage& p) {
  const std::lock_guard lock(mutex_);
  for (auto it = all_.rbegin(); it != all_.rend() && p.at_ms - it->at_ms < kSameWithin_ms; ++it) {
    if (it->partition != p.partition || it->how != p.how) continue;
    it->gap_ms = std::max(it->gap_ms, p.gap_ms);
    it->held += p.held;
    it->dropped += p.dropped;
    return;
  }
  if (all_.size() == kKept) all_.pop_front();
  all_.push_back(p);
}

std::vector<Passages::Passage> Passages::list() const {
  const std::lock_guard lock(mutex_);
  return {all_.rbegin(), all_.rend()};
}

}  // namespace berth::gateway::edge
