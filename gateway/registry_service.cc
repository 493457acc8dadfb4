#include "gateway/registry_service.h"

#include "gateway/engine_setup.h"
#include "gateway/registry/file_registry.h"
#include "gateway/registry/redis_registry.h"
#include "gateway/registry/sqlite_registry.h"

namespace berth::gateway {

using Source = RegistryConfig::Source;

namespace {

std::unique_ptr<registry::RegistryStore> make_store(const Config& config) {
  if (config.registry.source == Source::file)
    return std::make_unique<registry::FileRegistry>(config.registry.file,
                                                    config.data_directory + "/registry.good.yaml");
  if (config.store_url.empty())
    return std::make_unique<registry::SqliteRegistry>(config.data_directory + "/registry.db");
  Config whole = config;
  whole.redis_partition.clear();  // partitions have one registry
  session::RedisOptions redis = redis_options(whole);
  const std::string prefix = redis.slot_key;
  return std::make_unique<registry::RedisRegistry>(
      std::move(redis), prefix,
      registry::RedisRegistry::Copies{config.redis_wait_replicas, config.redis_wait_ms});
}

}  // namespace

RegistryService::RegistryService(boost::asio::io_context& io, const Config& config)
    : config_(config),
      registry_(config.registry.default_tenant),
      feed_(io, make_store(config), registry_, config.registry.refresh_ms,
            [this](const session::Concerned& who) { on_change_(who); }) {}

std::unique_ptr<RegistryService> RegistryService::make(boost::asio::io_context& io,
                                                       const Config& config) {
  if (config.registry.source == Source::none) return nullptr;
  std::unique_ptr<RegistryService> s(new RegistryService(io, config));
  const std::string why = s->feed_.load();
  if (!why.empty() && config.registry.source == Source::file) throw ConfigError(why);
  s->feed_.start();
  return s;
}

std::string RegistryService::trouble() const {
  return config_.registry.source == Source::file ? feed_.trouble() : std::string();
}

metrics::Sample RegistryService::sample() const {
  return {
      "berth_registry_up",
      "",
      "",
      "1: the registry can be read; 0: its store is away or its file is bad, what was read last "
      "holds",
      false,
      feed_.reachable() ? 1U : 0U};
}

void RegistryService::serve(admin::HttpServer& http) {
  registry::RegistryApi::Options o;
  o.iterations = static_cast<int>(config_.registry.password_iterations);
  api_ = std::make_unique<registry::RegistryApi>(registry_, feed_, std::move(o));
  api_->add_to(http);
}

}  // namespace berth::gateway
