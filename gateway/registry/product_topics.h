// Which topics the products of a tenant give their devices, and which of these a vendor's commands
// go to. Compiled when a product is first asked for and again when its record has changed; as many
// as there are products. A look compares each product of the tenant. Owned by the thread of its
// registry.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/registry/command_types.h"
#include "gateway/registry/profiles.h"
#include "gateway/registry/registry.h"

namespace berth::gateway::registry {

class ProductTopics {
 public:
  // Both outlive it.
  ProductTopics(const Registry& registry, Profiles& profiles)
      : registry_(registry), profiles_(profiles) {}

  // `topic`: as services call it. %d and %s of a product stand for all devices and sites.
  bool has(std::string_view tenant, std::string_view topic);
  // How long a command is good for that somebody publishes there: the shortest of the rules that
  // send to this topic. Nothing: no rule does.
  std::optional<CommandBounds> bounds_of_command(std::string_view tenant, std::string_view topic);

 private:
  struct Compiled {
    std::string of;                    // the record that it was made of
    std::vector<std::string> filters;  // of Product.topics
  };
  // f(filters, profile or null) for each product of the tenant, until it returns true.
  template <class F>
  bool any_of(std::string_view tenant, F&& f);

  const Registry& registry_;
  Profiles& profiles_;
  std::map<std::string, Compiled, std::less<>> compiled_;  // by the product's key
};

}  // namespace berth::gateway::registry
