// Limits of one address, see address_limits.h and before_login.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace berth::gateway::edge {

struct AddressLimitOptions {
  std::uint32_t connections = 50'000;  // 0: no limit
  std::uint32_t per_s = 0;             // 0: no limit
};

// Of those who have not logged in; of all shards together.
struct BeforeLoginOptions {
  std::size_t bytes = 256u << 20;                // in all; a quarter of it for one address
  std::uint32_t connections_per_address = 2000;  // with no whole CONNECT; 0: no limit
};

}  // namespace berth::gateway::edge
