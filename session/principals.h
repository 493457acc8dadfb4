// What the core asks of a registry: which principals may be connected, and what they may use.
// Called on the shard's thread; must not block.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "session/quota.h"
#include "session/scope.h"

namespace berth::session {

// The principals that are registered now.
class Principals {
 public:
  virtual ~Principals() = default;
  virtual ScopePtr scope_of(const Principal& who) const = 0;  // null: may not be connected
  // Until when it may log in with this credential (AuthResult::credential); kNever: without end,
  // {0}: the credential is gone.
  virtual base::Instant credential_until(const Principal&, std::string_view /*credential*/) const {
    return base::kNever;
  }
  // Why scope_of() is null.
  virtual std::string why_ended(const Principal&) const { return "disabled in the registry"; }
  virtual bool exists(std::string_view principal_key) const = 0;  // may be disabled
  // As which a device's will is said, also when it may not be connected any more or is not
  // registered any more: `site` is where it was when it said it. Null: its tenant is gone.
  virtual ScopePtr scope_of_will(const Principal& who, std::string_view /*site*/) const {
    return scope_of(who);
  }
  // False: this retained message, by its topic inside, is of a tenant, a site or a device that has
  // been removed, or of a device that is at another site now.
  virtual bool keeps_retained(std::string_view /*topic*/) const { return true; }
  // `site` empty: the tenant's own.
  virtual Limits limits_of(std::string_view tenant, std::string_view site) const = 0;
  // The device that logs in with this user name, as a key; empty: none.
  virtual std::string device_named(std::string_view /*user_name*/) const { return {}; }
  // The devices that are behind this one and use its connection, by name; so many at most.
  virtual std::vector<std::string> children_of(const Principal& /*device*/,
                                               std::size_t /*most*/) const {
    return {};
  }
  // The tenant of this user name, which may be nobody's; empty: there is no such tenant.
  virtual std::string_view tenant_of(std::string_view /*user_name*/) const { return {}; }
};

// The principals that a change of the registry may concern: some, all of some tenants, or all.
struct Concerned {
  bool everybody = false;
  std::set<std::string, std::less<>> tenants;
  std::set<std::string, std::less<>> principals;  // keys
  // Of these, what has been removed. Somebody else of the same name may be registered already: what
  // was kept for the one before is not for the one after.
  std::set<std::string, std::less<>> removed_tenants;
  std::set<std::string, std::less<>> removed_principals;
  // Filters, as topics are inside: what was retained there is removed.
  std::vector<std::string> removed_topics;
  bool empty() const { return !everybody && tenants.empty() && principals.empty(); }
  bool has_removed(std::string_view principal_key) const {
    return removed_principals.contains(principal_key) ||
           (!removed_tenants.empty() &&
            removed_tenants.contains(principal_key.substr(0, principal_key.find('\0'))));
  }
  bool has(std::string_view principal_key) const {
    return everybody || principals.contains(principal_key) ||
           (!tenants.empty() &&
            tenants.contains(principal_key.substr(0, principal_key.find('\0'))));
  }
};

}  // namespace berth::session
