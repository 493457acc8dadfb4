// The registry as a process has it: where it is configured to be, followed, and served to
// operators. On the io_context's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "gateway/admin/http_server.h"
#include "gateway/config/config.h"
#include "gateway/link/asker.h"
#include "gateway/node/principal_secret.h"
#include "gateway/registry/feed.h"
#include "gateway/registry/guarded_registry.h"
#include "gateway/registry/registry.h"
#include "gateway/rest/accounts.h"
#include "gateway/rest/api.h"
#include "metrics/probe.h"

namespace berth::gateway {

class Reload;

class RegistryService {
 public:
  // Null: registry.source is none. What is in a file is there when this returns, or ConfigError is
  // thrown; a store that is away is waited for.
  // A file is followed as part of `reload`'s set.
  // `keeps_copy`: this process of the gateway writes the last good copy; the others read it.
  static std::unique_ptr<RegistryService> make(boost::asio::io_context& io, const Config& config,
                                               bool keeps_copy, Reload& reload);

  const registry::Registry& registry() const { return registry_; }
  bool has_tenant(const std::string& name) const {
    return registry_.find(registry::key_of(registry::Kind::tenant, name)) != nullptr;
  }
  // As RegistryFeed's.
  void on_change(registry::RegistryFeed::Changed f) { on_change_ = std::move(f); }
  // As RegistryFeed's.
  void on_written(registry::RegistryFeed::Tell tell) { feed_.on_written(std::move(tell)); }
  void tell_usage(registry::RegistryStore::Reports ours) { feed_.tell_usage(std::move(ours)); }
  void on_usage(std::function<void(registry::RegistryStore::Reports)> heard) {
    feed_.on_usage(std::move(heard));
  }
  // Why the file is not used as it is, or what is missing in the store and stays in force all the
  // same; empty: neither. A store that is away is no trouble: what was read from it last holds.
  std::string trouble() const;
  metrics::Sample sample() const;        // whether what is stored can be read; any thread
  metrics::Sample doubt_sample() const;  // berth_registry_records_missing; any thread
  // REST, on the admin port. `asker` lives as long as `http` runs.
  void serve(admin::HttpServer& http, const link::Asker& asker);
  registry::ApiAccounts* accounts() { return accounts_.get(); }  // null: before serve()

 private:
  std::string doubt() const;
  RegistryService(boost::asio::io_context& io, const Config& config,
                  std::unique_ptr<registry::GuardedRegistry> store);
  boost::asio::io_context& io_;
  const Config& config_;
  registry::Registry registry_;
  registry::RegistryFeed::Changed on_change_ = [](const session::Concerned&) {};
  registry::GuardedRegistry& guard_;  // the feed's
  registry::RegistryFeed feed_;
  std::unique_ptr<registry::RegistryApi> api_;
  std::unique_ptr<registry::ApiAccounts> accounts_;
  std::optional<PrincipalSecretLoader> secret_;  // of cursors, from serve() on
};

}  // namespace berth::gateway
