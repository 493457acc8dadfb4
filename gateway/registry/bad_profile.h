// What is wrong with a product's profile, for people.
#pragma once

#include <stdexcept>

namespace berth::gateway::registry {

struct BadProfile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace berth::gateway::registry
