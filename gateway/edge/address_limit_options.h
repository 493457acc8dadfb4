// Limits of one address, see address_limits.h.
#pragma once

#include <cstdint>

namespace berth::gateway::edge {

struct AddressLimitOptions {
  std::uint32_t connections = 0;  // 0: no limit
  std::uint32_t per_s = 0;        // 0: no limit
};

}  // namespace berth::gateway::edge
