// Something that a test does again and again while devices work.
#pragma once

#include <chrono>
#include <functional>

#include "tests/support/process.h"

namespace berth::test {

// Runs `swarm` for `time` and calls `act` every `period`; it returns false when it could not act
// yet. On a slow machine the run goes on, a minute at most, until `act` has been done as often as
// `time` has room for, so that a test may count what it has done.
template <class AnySwarm>
void run_acting(AnySwarm& swarm, std::chrono::milliseconds time, std::chrono::milliseconds period,
                const std::function<bool()>& act) {
  const auto begin = Clock::now();
  auto next = begin + period;
  auto missing = (time - std::chrono::milliseconds(1)) / period;
  swarm.run(time + std::chrono::minutes(1), [&] {
    const auto now = Clock::now();
    if (now - begin >= time && missing <= 0) return swarm.stop();
    if (now < next || !act()) return;
    next = now + period;
    --missing;
  });
}

}  // namespace berth::test
