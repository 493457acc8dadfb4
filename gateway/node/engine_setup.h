// What both shapes need to make an engine: its options, access rules, authenticator and store.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "gateway/config/config.h"
#include "gateway/engine/engine_shard.h"
#include "gateway/registry/registry.h"
#include "metrics/probe.h"
#include "store/redis_store.h"
#include "store/rocks_store.h"

namespace berth::gateway {

class Reload;
namespace tracing {
class Tracer;
}

inline constexpr const char* kVersion = "0.1.0";
const char* revision();               // of the source
void use_revision(const char* r);     // of static storage, before a process begins
extern const char kSourceRevision[];  // only in programs: cmake/revision.cmake writes it

session::BrokerOptions broker_options(const Config& config, std::vector<std::uint64_t> edge_ids,
                                      bool replay);
// What auth.anonymous means beside the other settings.
engine::Anonymous anonymous_of(const Config& config);
std::unique_ptr<session::AccessPolicy> load_access(const Config& config);  // throws ConfigError

// As whom the engine takes its store.
struct StoreClaim {
  std::uint64_t owner = 0;  // random
  // Redis in a cluster: from the holder of this number, or (0) if it is free; see RedisStore
  std::optional<std::uint64_t> take_from;
  std::uint64_t floor = 0;
  std::uint64_t number = 0;  // ours, when it is taken
};

session::RedisOptions redis_options(const Config& config);
// Why the store is not for this configuration: it was begun with another number of partitions.
// Empty: it is. Throws RedisError if it can't be told.
std::string check_partitions(const Config& config);

// What an engine is made of.
struct EngineParts {
  boost::asio::io_context& io;
  const Config& config;
  session::BrokerOptions options;
  link::EdgePort& edge;
  const registry::Registry* registry;                // null: none
  std::shared_ptr<engine::LoginMemory> logins = {};  // null: of the engine's own
  std::function<void()> load_logins = {};  // fills it before the engine serves; on any thread
  std::function<void()> store_lost;  // another gateway has taken the store; this engine must end
  session::StoreCondition* condition =
      nullptr;                        // filled in, of an embedded store; null: it is not asked for
  tracing::Tracer* traces = nullptr;  // outlives the engine; null: nothing is traced
  Reload* reload =
      nullptr;  // the files are those of its set, and follow it; null: they stay as read
};

// berth_store_writes_lost_total.
metrics::Sample writes_lost_sample(const session::StoreCondition& c);

// An engine with its store restored (a damaged one moved aside); EngineShard::serve() comes next.
// Blocking, on any thread. Throws std::runtime_error when the store is not available,
// session::StoreFull when there is no room on its disk, ConfigError
// for bad password or ACL files.
std::unique_ptr<engine::EngineShard> make_engine(const EngineParts& parts, StoreClaim& claim,
                                                 metrics::EngineProbe& probe);

// An engine that has read everything from a Redis that another engine still holds.
struct WarmEngine {
  std::string name;                             // of the warming
  std::unique_ptr<metrics::EngineProbe> probe;  // the engine's
  std::unique_ptr<engine::EngineShard> engine;
  session::RedisStore* store = nullptr;  // the engine's
};
// Blocking, on any thread; throws as make_engine().
WarmEngine warm_engine(const EngineParts& parts, const StoreClaim& claim, const std::string& name);
// Takes the store and what has changed since. False: that can't be told; the lease is given back
// and the engine is of no use.
bool take_over(WarmEngine& warm, StoreClaim& claim);

}  // namespace berth::gateway
