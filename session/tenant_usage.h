// The registry as the core sees it, and what tenants and sites use of their quotas (quota.h). One
// shard, one thread.
#pragma once

#include <string_view>
#include <vector>

#include "session/context.h"
#include "session/drops.h"
#include "session/principals.h"
#include "session/quota.h"
#include "session/scope.h"
#include "session/session.h"

namespace berth::session {

class TenantUsage final : private Room {
 public:
  explicit TenantUsage(Context& cx) : Room(cx) {}

  const Principals* registry() const { return registry_; }  // null: there is no registry
  Accounts& accounts() { return accounts_; }
  const Accounts& accounts() const { return accounts_; }

  // Before anything is restored; `registry` outlives the core.
  void use_registry(const Principals& registry);
  // What other partitions say they use; replaces what they said before.
  void use_elsewhere(const std::vector<UsageOf>& others);
  // The tenant's account of a topic as it is inside; null: of no tenant.
  Account* account_of(std::string_view inside);
  // So many retained messages more (or fewer) of this topic.
  void count_retained(std::string_view topic, int change);
  void count_dropped(const Session& s);
  Drops& drops() { return drops_; }

 private:
  const Principals* registry_ = nullptr;
  Accounts accounts_;
  Drops drops_;
};

}  // namespace berth::session
