// What is registered, in memory: whole, so that a log-in never waits for the store and goes on
// without it (ADR 12). About 600 bytes a device. Owned by one thread.
#pragma once

#include <boost/unordered/unordered_map.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/registry/hash_costs.h"
#include "gateway/registry/records.h"
#include "gateway/registry/registry_store.h"
#include "session/principals.h"

namespace berth::gateway::registry {

class Registry final : public session::Principals {
 public:
  // `default_tenant`: of who logs in without "@tenant"; empty: nobody can.
  explicit Registry(std::string default_tenant) : default_tenant_(std::move(default_tenant)) {}

  // Whom it concerns: those of records that have changed or gone, not those that are new.
  session::Concerned apply(const Changes& changes);
  bool loaded() const { return loaded_; }  // has been told of everything once

  // It may be a refresh behind its store. `f`, on this thread, when it is not behind what is there
  // now; without a feed at once.
  void when_fresh(std::function<void()> f) const {
    if (!ask_) return f();
    ask_(std::move(f));
  }
  void on_ask(std::function<void(std::function<void()>)> ask) { ask_ = std::move(ask); }

  // -- who logs in
  struct Login {
    session::ScopePtr scope;  // null: disabled, or its site or tenant is
    pb::Credential credential;
    session::Principal who;
  };
  // "auth_id@tenant". Nothing: unknown, or two have it.
  std::optional<Login> find_login(std::string_view user_name) const;
  std::string_view tenant_of(std::string_view user_name) const override;
  const HashCosts& hash_costs() const { return hash_costs_; }  // of all passwords
  // `authorities`: as session::AuthRequest has them. Nothing too if none of them may sign it.
  std::optional<Login> find_certificate(std::string_view name, std::string_view authorities) const;

  // -- session::Principals
  session::ScopePtr scope_of(const session::Principal& who) const override;
  std::string why_ended(const session::Principal& who) const override;
  bool exists(std::string_view principal_key) const override;
  std::string device_named(std::string_view user_name) const override;
  session::ScopePtr scope_of_will(const session::Principal& who,
                                  std::string_view site) const override;
  bool keeps_retained(std::string_view topic) const override;
  base::Instant credential_until(const session::Principal& who,
                                 std::string_view credential) const override;
  session::Limits limits_of(std::string_view tenant, std::string_view site) const override;
  std::vector<std::string> children_of(const session::Principal& device,
                                       std::size_t most) const override;

  // -- records
  const std::string* find(std::string_view key) const;
  std::size_t count(Kind kind) const;
  std::uint32_t devices_at(std::string_view tenant, std::string_view site) const;
  // Those whose keys begin with `prefix` and come after `after`, in their order, until `f` returns
  // false.
  void each(std::string_view prefix, std::string_view after,
            const std::function<bool(const std::string& key, const std::string& value)>& f) const;
  // The devices of this tenant whose record names `name` as its executor or parent, in the order of
  // their names, until `f` returns false.
  void each_referring(std::string_view tenant, std::string_view name,
                      const std::function<bool(std::string_view device)>& f) const;
  // The key of another record than `key` that has one of these credentials; empty: none.
  std::string holder_of(std::string_view key, const Message& m) const;

 private:
  using Records = std::map<std::string, std::string, std::less<>>;
  using Place = const Records::value_type*;
  void put(const std::string& key, const std::string& value, session::Concerned& who);
  void remove(const std::string& key, session::Concerned& who);
  static void concern(Place p, session::Concerned& who);
  void concern_removed(Place p, session::Concerned& who) const;
  void concern_moved(Place p, const std::string& now, session::Concerned& who) const;
  std::vector<std::string> topics_of(std::string_view tenant, const pb::Device& d) const;
  void index(Place p, bool add);
  void index_references(const Key& key, const pb::Device& d, bool add);
  bool may_sign(std::string_view authorities, std::string_view tenant,
                const pb::Credential& c) const;
  void count_cost(const pb::Credential& c, bool add);
  std::optional<Login> login_at(
      std::uint64_t hash, const std::function<bool(const Key&, const pb::Credential&)>& same) const;
  session::Format format_of(std::string_view tenant) const;
  bool place_enabled(std::string_view tenant, std::string_view site) const;
  session::ScopePtr device_scope(std::string_view tenant, const pb::Device& d) const;
  session::ScopePtr account_scope(std::string_view tenant, const pb::Account& a) const;

  std::string default_tenant_;
  Records records_;
  boost::unordered_multimap<std::uint64_t, Place> logins_;  // by hash of what is logged in with
  std::set<std::string, std::less<>> references_;  // tenant NUL executor or parent NUL device
  HashCosts hash_costs_;
  std::map<Kind, std::size_t> counts_;
  std::map<std::string, std::uint32_t, std::less<>> at_sites_;  // devices, by tenant NUL site
  std::set<std::string, std::less<>> removed_;  // keys of what is gone, kRemovedKept of them
  bool loaded_ = false;
  std::function<void(std::function<void()>)> ask_;  // of its feed
};

// What somebody may log in with by this record, as text; equal texts are the same log-in.
std::vector<std::string> logins_of(const Key& key, const Message& m);
// What it is called among those of its record: password or key by its name, a certificate by its.
std::string credential_id(const pb::Credential& c);
// Is it good now?
bool in_time(const pb::Credential& c, base::Instant now);

}  // namespace berth::gateway::registry
