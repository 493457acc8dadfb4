#include "gateway/engine_setup.h"

#include <boost/asio/post.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "gateway/engine/acl_file.h"
#include "gateway/engine/fault_policy.h"
#include "session/rocks_store.h"

namespace berth::gateway {

session::BrokerOptions broker_options(const Config& config, std::vector<std::uint64_t> edge_ids,
                                      bool replay) {
  session::BrokerOptions o = config.broker;
  o.edge_ids = std::move(edge_ids);
  o.replay = replay;
  o.version = kVersion;
  return o;
}

std::unique_ptr<session::AccessPolicy> load_access(const Config& config) {
  std::unique_ptr<session::AccessPolicy> policy;
  try {
    if (!config.acl_file.empty()) {
      policy = std::make_unique<engine::AclFile>(engine::AclFile::load(config.acl_file));
    }
  } catch (const std::runtime_error& e) {
    throw ConfigError(e.what());
  }
  if (const char* topic = std::getenv("BERTH_FAULT_TOPIC")) {  // tests only
    policy = std::make_unique<engine::FaultPolicy>(topic, std::move(policy));
  }
  return policy;
}

namespace {

void start(boost::asio::io_context& io, const Config& config, engine::EngineShard& engine) {
  const auto post = [&io](std::function<void()> f) { boost::asio::post(io, std::move(f)); };
  std::optional<engine::PasswordFile> passwords;
  if (!config.password_file.empty()) {
    try {
      passwords = engine::PasswordFile::load(config.password_file);
    } catch (const std::runtime_error& e) {
      throw ConfigError(e.what());
    }
  }
  engine.use_authenticator(
      std::make_unique<engine::Authenticator>(config.anonymous, std::move(passwords), post));
  session::RocksOptions options;
  options.directory = config.data_directory + "/store";
  options.sync = config.sync;
  options.on_health = [&engine](bool healthy) { engine.set_store_healthy(healthy); };
  engine.use_store(std::make_unique<session::RocksStore>(options, post));
  engine.restore();
  engine.start_timers();
}

}  // namespace

std::unique_ptr<engine::EngineShard> make_engine(boost::asio::io_context& io, const Config& config,
                                                 const session::BrokerOptions& options,
                                                 link::EdgePort& edge,
                                                 metrics::EngineProbe& probe) {
  for (int attempt = 0;; ++attempt) {
    auto engine =
        std::make_unique<engine::EngineShard>(io, options, edge, load_access(config), probe);
    try {
      start(io, config, *engine);
      return engine;
    } catch (const session::StoreDamaged& e) {  // half restored: begin again with the empty store
      if (attempt != 0) throw;
      BERTH_LOG(err, "begin again reason=\"{}\"", e.what());
    }
  }
}

}  // namespace berth::gateway
