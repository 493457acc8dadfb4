// An edge's idea of an engine's clock, from what the engine says it is (FrameType::clock). A word
// that has been under way for long says too little, never too much, so the greatest difference to
// the edge's own clock is the best one: a frame that waits in a link makes no deadline later. Of
// the last two minutes, because two clocks drift apart. Held by value by the link; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace berth::gateway::link {

class EngineClock {
 public:
  static constexpr std::int64_t kWindow_ms = 60'000;

  // `own_ms`: the edge's uptime (base::boot_time()), which never leaps.
  void heard(std::int64_t engine_ms, std::int64_t own_ms) {
    const std::int64_t ahead = engine_ms - own_ms;
    if (!known_ || own_ms - began_ms_ >= kWindow_ms) {
      before_ = known_ ? window_ : ahead;
      window_ = ahead;
      began_ms_ = own_ms;
      known_ = true;
    }
    window_ = std::max(window_, ahead);
  }
  // The engine's clock when the edge's is `own_ms`. The end of time if the engine has said nothing:
  // what can't be judged is too late.
  base::Instant at(std::int64_t own_ms) const {
    return known_ ? base::Instant{own_ms + std::max(before_, window_)} : base::kNever;
  }

 private:
  std::int64_t before_ = 0;    // greatest difference in the window before
  std::int64_t window_ = 0;    // and in this one
  std::int64_t began_ms_ = 0;  // this one, own clock
  bool known_ = false;
};

}  // namespace berth::gateway::link
