// Decides by its heartbeats whether an engine is silent. If this process itself has stalled, that
// time does not count. Held by value by the Supervisor, on its thread; times are of the monotonic
// clock.
#pragma once

#include <algorithm>
#include <cstdint>

namespace berth::gateway {

class Heartbeats {
 public:
  Heartbeats(std::uint32_t every_ms, std::uint32_t missed)
      : every_ns_(std::int64_t{every_ms} * 1'000'000), missed_(missed) {}
  void heard(std::int64_t now_ns) { last_ns_ = now_ns; }
  // The next look() is due after an interval of heartbeats.
  void wait(std::int64_t now_ns) { waits_since_ns_ = now_ns; }
  void look(std::int64_t now_ns) {
    const bool we_stalled = now_ns - waits_since_ns_ > 3 * every_ns_;
    if (we_stalled) last_ns_ = std::max(last_ns_, now_ns - every_ns_);
  }
  bool silent(std::int64_t now_ns) const { return now_ns - last_ns_ > every_ns_ * missed_; }
  std::int64_t last_ns() const { return last_ns_; }

 private:
  std::int64_t every_ns_;
  std::int64_t missed_;
  std::int64_t last_ns_ = 0;
  std::int64_t waits_since_ns_ = 0;
};

}  // namespace berth::gateway
