#include "gateway/registry/product_topics.h"

#include <algorithm>

#include "gateway/registry/command_text.h"
#include "protocol/mqtt/topic.h"

namespace berth::gateway::registry {

using protocol::mqtt::filter_matches;

template <class F>
bool ProductTopics::any_of(std::string_view tenant, F&& f) {
  bool found = false;
  if (compiled_.size() > registry_.count(Kind::product)) compiled_.clear();  // some were removed
  registry_.each(key_of(Kind::product, tenant), {}, [&](const std::string& key, const auto& value) {
    Compiled& c = compiled_[key];
    pb::Product p;
    if (c.of != value && p.ParseFromString(value)) {
      c.of = value;
      c.filters.clear();
      for (const std::string& t : p.topics()) c.filters.push_back(filter_of_pattern(t));
    }
    found = f(c.filters, profiles_.of(tenant, parse_key(key).name));
    return !found;
  });
  return found;
}

bool ProductTopics::has(std::string_view tenant, std::string_view topic) {
  const auto matches = [topic](const std::string& f) { return filter_matches(f, topic); };
  return any_of(tenant, [&](const std::vector<std::string>& filters, const ProfilePtr& profile) {
    return std::any_of(filters.begin(), filters.end(), matches) ||
           (profile && profile->commands().told_on(topic));
  });
}

std::optional<CommandBounds> ProductTopics::bounds_of_command(std::string_view tenant,
                                                              std::string_view topic) {
  std::optional<CommandBounds> shortest;
  any_of(tenant, [&](const auto&, const ProfilePtr& profile) {
    const auto bounds = profile ? profile->commands().told_on(topic) : std::nullopt;
    if (bounds && (!shortest || bounds->ttl_max_ms < shortest->ttl_max_ms)) shortest = bounds;
    return false;
  });
  return shortest;
}

}  // namespace berth::gateway::registry
