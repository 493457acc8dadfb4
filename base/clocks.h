// How far other clocks are ahead of the time that is passed to the core, ms (base/wall_clock.h).
// Plain data; the shell gives it to the Broker whenever it changes.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace berth::base {

struct Clocks {
  std::int64_t messages = 0;  // by which Message Expiry and the deadlines of commands are counted
  std::int64_t wall = 0;      // what the wall clock says
  // As `wall` was before it was set forward, at `forward_at`: what a device believes that has asked
  // for the time before then and not since.
  std::int64_t wall_before = 0;
  Instant forward_at{INT64_MIN / 2};

  Instant messages_at(Instant now) const { return now.plus_ms(messages); }
  Instant wall_at(Instant now) const { return now.plus_ms(wall); }
};

}  // namespace berth::base
