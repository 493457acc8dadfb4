#include "bench/load/sequence.h"

#include <algorithm>

namespace berth::bench {

Sequence::Seen Sequence::see(std::uint32_t number) {
  if (number < next_) return Seen::again;
  if (number == next_) {
    ++next_;
    const bool late = !ahead_.empty();
    if (late && ahead_.front().from == next_) {
      next_ = ahead_.front().to;
      ahead_.erase(ahead_.begin());
    }
    return late ? Seen::late : Seen::in_order;
  }
  const auto after = std::upper_bound(ahead_.begin(), ahead_.end(), number,
                                      [](std::uint32_t n, const Run& r) { return n < r.from; });
  const bool late = after != ahead_.end();
  if (after != ahead_.begin()) {
    Run& before = *std::prev(after);
    if (number < before.to) return Seen::again;
    if (number == before.to) {
      ++before.to;
      if (late && before.to == after->from) {
        before.to = after->to;
        ahead_.erase(after);
      }
      return late ? Seen::late : Seen::in_order;
    }
  }
  if (late && after->from == number + 1) {
    after->from = number;
    return Seen::late;
  }
  ahead_.insert(after, {number, number + 1});
  if (ahead_.size() > kGapsMax) give_up_oldest();
  return late ? Seen::late : Seen::in_order;
}

void Sequence::give_up_oldest() {
  lost_ += ahead_.front().from - next_;
  next_ = ahead_.front().to;
  ahead_.erase(ahead_.begin());
}

std::uint32_t Sequence::missing(std::uint32_t end) const {
  std::uint32_t missing = lost_;
  std::uint32_t at = next_;
  for (const Run& r : ahead_) {
    if (at >= end) break;
    missing += std::min(r.from, end) - at;
    at = r.to;
  }
  return at < end ? missing + (end - at) : missing;
}

}  // namespace berth::bench
