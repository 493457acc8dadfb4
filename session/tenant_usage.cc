#include "session/tenant_usage.h"

#include "protocol/link/types.h"

namespace berth::session {

void TenantUsage::use_registry(const Principals& registry) {
  registry_ = &registry;
  accounts_.use_partitions(options_.partitions);
  accounts_.use_limits([&registry](std::string_view tenant, std::string_view site) {
    return registry.limits_of(tenant, site);
  });
}

void TenantUsage::use_elsewhere(const std::vector<UsageOf>& others) {
  accounts_.clear_elsewhere();
  for (const UsageOf& u : others) accounts_.of(u.tenant, u.site).elsewhere += u.usage;
}

// Whose a topic is. Not its site's: a service may name sites that there are not, without end.
Account* TenantUsage::account_of(std::string_view inside) {
  if (!inside.starts_with(kTenantRoot)) return nullptr;
  inside.remove_prefix(kTenantRoot.size());
  return &accounts_.of(inside.substr(0, inside.find('/')), {});
}

// Every partition has all of them; each counts its part.
void TenantUsage::count_retained(std::string_view topic, int change) {
  const bool ours = protocol::link::partition_of(topic, options_.partitions) == options_.partition;
  Account* a = ours ? account_of(topic) : nullptr;
  if (a != nullptr) a->count(&Usage::retained_messages, change);
}

// A message that found no room in a session's queue, or had to leave it.
void TenantUsage::count_dropped(const Session& s) {
  ++probe_.drop_queue_full;
  drops_.count(s.id);
  if (s.account != nullptr) s.account->count(&Usage::dropped, 1);
}

}  // namespace berth::session
