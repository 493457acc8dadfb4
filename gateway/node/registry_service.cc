#include "gateway/node/registry_service.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "gateway/node/engine_setup.h"
#include "gateway/node/reload.h"
#include "gateway/registry/file_registry.h"
#include "gateway/registry/guarded_registry.h"
#include "gateway/registry/redis_registry.h"
#include "gateway/registry/sqlite_registry.h"

namespace berth::gateway {

using Source = RegistryConfig::Source;

namespace {

// Where it is configured to be.
std::unique_ptr<registry::RegistryStore> make_source(const Config& config, Reload& reload) {
  const std::string& file = config.registry.file;
  if (config.registry.source == Source::file) {
    return std::make_unique<registry::FileRegistry>(file, [&reload, file](const std::string& text) {
      const auto set = reload.current();
      if (set == nullptr) return false;
      const auto in_force = set->texts.find(file);
      return in_force != set->texts.end() && in_force->second.bytes == text;
    });
  }
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

// The copy's directory, private and made if need be.
std::string copy_path(const Config& config) {
  const std::string directory = config.data_directory + "/last-good";
  std::error_code ignored;
  std::filesystem::create_directories(config.data_directory, ignored);
  ::mkdir(directory.c_str(), 0700);
  const std::string path = directory + "/registry.db";
  const int fd =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);  // not as SQLite makes it
  if (fd >= 0) ::close(fd);
  return path;
}

std::unique_ptr<registry::GuardedRegistry> make_store(const Config& config, bool keeps_copy,
                                                      Reload& reload) {
  const std::string path = copy_path(config);
  registry::GuardedRegistry::Options o;
  o.copy = std::make_unique<registry::SqliteRegistry>(path);
  o.renew_copy = [path] {
    for (const char* end : {"", "-wal", "-shm"}) ::unlink((path + end).c_str());
    return std::make_unique<registry::SqliteRegistry>(path);
  };
  o.keeps_copy = keeps_copy;
  o.grace_s = config.registry.loss_grace_s;
  return std::make_unique<registry::GuardedRegistry>(make_source(config, reload), std::move(o));
}

}  // namespace

RegistryService::RegistryService(boost::asio::io_context& io, const Config& config,
                                 std::unique_ptr<registry::GuardedRegistry> store)
    : io_(io),
      config_(config),
      registry_(config.registry.default_tenant),
      guard_(*store),
      feed_(io, std::move(store), registry_, config.registry.refresh_ms,
            [this](const session::Concerned& who) { on_change_(who); }) {}

std::unique_ptr<RegistryService> RegistryService::make(boost::asio::io_context& io,
                                                       const Config& config, bool keeps_copy,
                                                       Reload& reload) {
  if (config.registry.source == Source::none) return nullptr;
  std::unique_ptr<RegistryService> s(
      new RegistryService(io, config, make_store(config, keeps_copy, reload)));
  const std::string why = s->feed_.load();
  if (!why.empty() && config.registry.source == Source::file) throw ConfigError(why);
  s->feed_.start();
  return s;
}

std::string RegistryService::trouble() const {
  if (std::string lost = doubt(); !lost.empty()) return lost;
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

std::string RegistryService::doubt() const {
  const auto d = guard_.doubt();
  if (!d) return {};
  return "the registry has lost " + std::to_string(d->missing.size()) + " of " +
         std::to_string(d->known) +
         " records; they stay in force until the loss is accepted (berth ctl registry accept-loss) "
         "or "
         "they are back (berth ctl registry restore)";
}

metrics::Sample RegistryService::doubt_sample() const {
  const auto d = guard_.doubt();
  return {"berth_registry_records_missing",
          "",
          "",
          "Records that the registry's store has lost and that stay in force all the same",
          false,
          d ? d->missing.size() : 0U};
}

void RegistryService::serve(admin::HttpServer& http, const link::Asker& asker) {
  secret_.emplace(config_);
  registry::RegistryApi::Options o;
  o.iterations = static_cast<int>(config_.registry.password_iterations);
  o.guard = &guard_;
  api_ = std::make_unique<registry::RegistryApi>(registry_, feed_, std::move(o));
  api_->add_to(http);
  accounts_ = std::make_unique<registry::ApiAccounts>(
      io_, registry_, config_.throttle,
      [&asker](protocol::link::Question q, link::Answered answered) {
        asker.ask_partition(0, std::move(q), std::move(answered));
      });
  http.use_accounts(accounts_->check(http.home()));
}

}  // namespace berth::gateway
