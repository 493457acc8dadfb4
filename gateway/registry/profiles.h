// Profiles of products, compiled when they are first needed and again when their record has
// changed. As many as there are products. Owned by the thread of its registry.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/registry/profile.h"
#include "gateway/registry/registry.h"

namespace berth::gateway::registry {

// Shared: what a command is told with stays as it was planned, also if its product changes.
using ProfilePtr = std::shared_ptr<const Profile>;

class Profiles {
 public:
  explicit Profiles(const Registry& registry) : registry_(registry) {}
  // Null: the registry has none, or the record is of a newer release (logged once).
  ProfilePtr of(std::string_view tenant, std::string_view product);

 private:
  struct Compiled {
    std::string of;  // the record that it was made of
    ProfilePtr profile;
  };
  const Registry& registry_;
  std::map<std::string, Compiled> compiled_;  // by the product's key
};

}  // namespace berth::gateway::registry
