// Ids that no other process or run has: of edges, engines, claims of a store. Any thread; throws
// std::exception where the system gives no random numbers.
#pragma once

#include <cstdint>

namespace berth::base {

std::uint64_t random_id();

}  // namespace berth::base
