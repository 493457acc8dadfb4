#include "base/random_id.h"

#include <random>

namespace berth::base {

std::uint64_t random_id() {
  std::random_device d;
  return (static_cast<std::uint64_t>(d()) << 32) | d();
}

}  // namespace berth::base
