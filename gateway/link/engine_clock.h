// An edge's idea of an engine's clock, from what the engine says it is (FrameType::clock). A word
// that has been under way for long says too little, never too much, so the greatest difference to
// the edge's own clock is the best one: a frame that waits in a link makes no deadline later. Less
// what two clocks may have drifted apart since then. Held by value by the link; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace berth::gateway::link {

class EngineClock {
 public:
  // The rates of two clocks differ by less: 500 ppm each, as the kernel slews them.
  static constexpr std::int64_t kDrift = 1000;  // ms in which they drift apart by one

  // `own_ms`: the edge's uptime (base::boot_time()), which never leaps.
  void heard(std::int64_t engine_ms, std::int64_t own_ms) {
    const std::int64_t ahead = engine_ms - own_ms;
    if (!known_) {
      ahead_ = ahead;
      drifted_to_ms_ = own_ms;
      known_ = true;
    }
    const std::int64_t drift = std::max<std::int64_t>(own_ms - drifted_to_ms_, 0) / kDrift;
    drifted_to_ms_ += drift * kDrift;
    ahead_ = std::max(ahead_ - drift, ahead);
  }
  // The engine's clock when the edge's is `own_ms`. The end of time if the engine has said nothing:
  // what can't be judged is too late.
  base::Instant at(std::int64_t own_ms) const {
    return known_ ? base::Instant{own_ms + ahead_} : base::kNever;
  }

 private:
  std::int64_t ahead_ = 0;          // greatest difference, less what clocks may have drifted since
  std::int64_t drifted_to_ms_ = 0;  // until when that is subtracted, own clock
  bool known_ = false;
};

}  // namespace berth::gateway::link
