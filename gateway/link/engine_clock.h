// An edge's estimate of an engine's clock, from the engine's clock frames (FrameType::clock). A
// clock frame that was delayed gives a value that is too small, never too large. So the largest
// difference to the edge's own clock is the best estimate, less what the two clocks may have
// drifted apart since then. Held by value by the link; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace berth::gateway::link {

class EngineClock {
 public:
  // In so many ms two clocks drift apart by at most 1 ms: the kernel slews each by at most 500 ppm.
  static constexpr std::int64_t kDrift = 1000;

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
  // The engine's clock when the edge's is `own_ms`. kNever if no clock frame has come: then every
  // deadline has passed.
  base::Instant at(std::int64_t own_ms) const {
    return known_ ? base::Instant{own_ms + ahead_} : base::kNever;
  }

 private:
  std::int64_t ahead_ = 0;          // greatest difference, less what clocks may have drifted since
  std::int64_t drifted_to_ms_ = 0;  // until when that is subtracted, own clock
  bool known_ = false;
};

}  // namespace berth::gateway::link
