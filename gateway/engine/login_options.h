// What the configuration says of log-ins (authenticator.h, login_throttle.h).
#pragma once

#include <cstdint>

namespace berth::gateway::engine {

// Who need not say who he is. automatic: peers on this machine, as long as nothing is configured by
// which somebody could say it.
enum class Anonymous : unsigned char { automatic, never, loopback, always };

struct LoginThrottleOptions {
  std::uint32_t per_address = 20;  // failures at once; 0: no limit
  std::uint32_t per_name = 5;      // the same
  std::uint32_t forgiven_s = 10;   // one failure is forgiven after each
};

}  // namespace berth::gateway::engine
