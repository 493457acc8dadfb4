// What the configuration says of log-ins (authenticator.h, login_throttle.h).
#pragma once

#include <cstdint>

namespace berth::gateway::engine {

enum class Anonymous : unsigned char { never, loopback, always };

struct LoginThrottleOptions {
  std::uint32_t per_address = 20;  // failures at once; 0: no limit
  std::uint32_t per_name = 5;      // the same
  std::uint32_t forgiven_s = 10;   // one failure is forgiven after each
};

}  // namespace berth::gateway::engine
