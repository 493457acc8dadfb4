#include "gateway/engine/faults.h"

namespace berth::gateway::engine {

std::unique_ptr<session::AccessPolicy> with_faults(std::unique_ptr<session::AccessPolicy> inner) {
  return inner;
}

base::WallClock::Source fault_of_clock() {
  return {};
}

std::function<void(std::string_view)> fault_of_forwarded() {
  return {};
}

}  // namespace berth::gateway::engine
