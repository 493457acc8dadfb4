#include "gateway/node/engine_setup.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/log.h"
#include "base/read_file.h"
#include "gateway/engine/faults.h"
#include "gateway/link/principal_id.h"
#include "gateway/node/access_files.h"
#include "gateway/node/backups.h"
#include "gateway/node/good_files.h"
#include "gateway/node/principal_secret.h"
#include "gateway/node/reload.h"
#include "gateway/node/uplink_file.h"
#include "gateway/rest/cursors.h"
#include "gateway/tracing/tracer.h"
#include "store/redis_store.h"

namespace berth::gateway {

namespace {
const char* revision_of_source = "unknown";
}  // namespace

const char* revision() {
  return revision_of_source;
}

void use_revision(const char* r) {
  revision_of_source = r;
}

session::BrokerOptions broker_options(const Config& config, std::vector<std::uint64_t> edge_ids,
                                      bool replay) {
  session::BrokerOptions o = config.broker;
  o.edge_ids = std::move(edge_ids);
  o.replay = replay;
  o.users_proven =
      !config.password_file.empty() || config.tls.user_name != edge::CertificateName::none;
  o.version = kVersion;
  return o;
}

std::unique_ptr<session::AccessPolicy> load_access(const Config& config) {
  return engine::with_faults(load_acl(config));
}

engine::Anonymous anonymous_of(const Config& c) {
  if (c.anonymous != engine::Anonymous::automatic) return c.anonymous;
  const bool names = !c.password_file.empty() ||
                     c.registry.source != RegistryConfig::Source::none ||
                     c.tls.user_name != edge::CertificateName::none;
  return names ? engine::Anonymous::never : engine::Anonymous::loopback;
}

session::RedisOptions redis_options(const Config& config) {
  session::RedisOptions o;
  o.address = session::parse_redis_url(config.store_url);
  o.timeout_ms = config.redis_timeout_ms;
  o.tls_ca_file = config.redis_ca_file;
  o.tls_cert_file = config.redis_cert_file;
  o.tls_key_file = config.redis_key_file;
  o.slot_key = session::key_prefix(o.address, config.redis_prefix + config.redis_partition);
  return o;
}

std::string check_partitions(const Config& config) {
  Config whole = config;
  whole.redis_partition.clear();
  const session::RedisOptions options = redis_options(whole);
  session::RedisConnection redis(options);
  const std::uint64_t known =
      session::agree_on_partitions(redis, options.slot_key, config.cluster.partitions);
  if (known == config.cluster.partitions) return {};
  return "cluster.partitions is " + std::to_string(config.cluster.partitions) +
         ", the store was begun with " + std::to_string(known);
}

namespace {

using Post = session::Store::Poster;

std::unique_ptr<session::Store> embedded_store(const EngineParts& parts,
                                               engine::EngineShard& engine, const Post& post,
                                               session::RocksStore::Copier& copier) {
  const Config& config = parts.config;
  session::RocksOptions options;
  options.directory = config.data_directory + "/store";
  options.sync = config.sync;
  options.on_health = [&engine](bool healthy, const std::string& why) {
    engine.commits().tell(healthy, why);
  };
  options.on_condition = [condition = parts.condition](const session::StoreCondition& c) {
    if (condition != nullptr) *condition = c;
  };
  auto store = std::make_unique<session::RocksStore>(options, post);
  copier = store->copier();
  return store;
}

void answer_about_backups(const EngineParts& parts, engine::EngineShard& engine,
                          session::RocksStore::Copier copier) {
  auto backups = std::make_shared<Backups>(
      parts.io,
      Backups::Options{parts.config.data_directory, parts.config.backups_kept, std::move(copier)});
  engine.answerer().use(
      protocol::link::AskKind::backup,
      [backups = std::move(backups)](const protocol::link::Question& q, link::Answered answered) {
        backups->answer(q.bytes, std::move(answered));
      });
}

session::RedisStoreOptions redis_store_options(const Config& config, const StoreClaim& claim,
                                               engine::EngineShard& engine, const Post& post,
                                               std::function<void()> store_lost) {
  session::RedisStoreOptions o;
  o.redis = redis_options(config);
  o.prefix = config.redis_prefix + config.redis_partition;
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  o.owner = std::string(host) + "/" + std::to_string(claim.owner);
  o.take_from = claim.take_from;
  o.floor = claim.floor;
  o.lease_ms = config.redis_lease_ms;
  o.wait_replicas = config.redis_wait_replicas;
  o.wait_ms = config.redis_wait_ms;
  o.on_health = [&engine](bool healthy, const std::string& why) {
    engine.commits().tell(healthy, why);
  };
  o.on_fenced = [post, store_lost = std::move(store_lost)] { post(store_lost); };
  return o;
}

std::unique_ptr<session::Store> redis_store(const Config& config, StoreClaim& claim,
                                            engine::EngineShard& engine, const Post& post,
                                            std::function<void()> store_lost) {
  const auto o = redis_store_options(config, claim, engine, post, std::move(store_lost));
  BERTH_LOG(info, "store redis={} prefix={}", o.redis.address.text(), o.prefix);
  auto store = std::make_unique<session::RedisStore>(o, post);
  claim.number = store->number();
  return store;
}

std::unique_ptr<engine::Authenticator> authenticator(const EngineParts& parts, const Post& post) {
  engine::Authenticator::Options o;
  o.anonymous = anonymous_of(parts.config);
  o.unbound_proofs = parts.config.unbound_proofs;
  o.throttle = parts.config.throttle;
  o.registry = parts.registry;
  o.memory = parts.logins;
  if (!parts.config.password_file.empty()) {
    Passwords passwords = load_passwords(parts.config);
    o.passwords = std::move(passwords.file);
    if (passwords.none) o.anonymous = engine::Anonymous::never;
  }
  return std::make_unique<engine::Authenticator>(std::move(o), post);
}

// Another process asks for this after it has written records.
void answer_questions(const EngineParts& parts, engine::EngineShard& engine) {
  engine.answerer().use(protocol::link::AskKind::cursor_key, [](const protocol::link::Question&,
                                                                const link::Answered& answered) {
    answered({protocol::link::AskError::none, link::derived_key(rest::kCursorPurpose)});
  });
  if (parts.registry == nullptr) return;
  engine.answerer().use(
      protocol::link::AskKind::read_registry,
      [registry = parts.registry](const protocol::link::Question&, link::Answered answered) {
        registry->when_fresh([answered = std::move(answered)] { answered({}); });
      });
}

// What an engine has beside it while it serves.
struct Beside {
  std::unique_ptr<AccessFiles> access;  // null: no files are watched
  std::unique_ptr<UplinkFile> uplinks;
};

// `p` is used while the engine is made, its `io` and `config` as long as the engine lives.
engine::ShardParts shard_parts(const EngineParts& p, metrics::EngineProbe& probe,
                               decltype(engine::ShardParts::store) store) {
  load_principal_secret(p.config);
  const auto set = p.reload == nullptr ? nullptr : p.reload->current();
  std::optional<base::ReadFrom> from;
  if (set) from.emplace(set->texts);
  engine::ShardParts parts{.io = p.io,
                           .options = p.options,
                           .edge = p.edge,
                           .probe = probe,
                           .access = load_access(p.config),
                           .registry = p.registry,
                           .platform = p.config.platform,
                           .keep_unregistered_s = p.config.registry.loss_grace_s,
                           .authenticator =
                               [&p, set](const Post& post) {
                                 std::optional<base::ReadFrom> in_force;
                                 if (set) in_force.emplace(set->texts);
                                 return authenticator(p, post);
                               },
                           .store = std::move(store)};
  parts.platform.traces = p.traces;
  parts.platform.presence.ours_after_s = p.config.broker.restart_grace_s;
  if (auto source = engine::fault_of_clock())
    parts.clock = base::WallClock(std::move(source), base::WallClock::this_boot());
  const bool files = !p.config.acl_file.empty() || !p.config.password_file.empty();
  parts.beside = [reload = p.reload, traces = p.traces, set, files, &io = p.io,
                  &config = p.config](engine::EngineShard& engine) {
    auto all = std::make_shared<Beside>();
    if (files && reload != nullptr)
      all->access = std::make_unique<AccessFiles>(*reload, set, config, engine);
    all->uplinks = std::make_unique<UplinkFile>(io, reload, config, engine, traces);
    return all;
  };
  return parts;
}

}  // namespace

WarmEngine warm_engine(const EngineParts& parts, const StoreClaim& claim, const std::string& name) {
  WarmEngine w;
  w.name = name;
  w.probe = std::make_unique<metrics::EngineProbe>();
  w.engine = std::make_unique<engine::EngineShard>(
      shard_parts(parts, *w.probe, [&](engine::EngineShard& engine, const Post& post) {
        auto o = redis_store_options(parts.config, claim, engine, post, parts.store_lost);
        o.warm = true;
        auto store = std::make_unique<session::RedisStore>(o, post);
        w.store = store.get();
        return store;
      }));
  w.store->warm_up(w.engine->broker().restore_sink(), name);
  return w;
}

bool take_over(WarmEngine& warm, StoreClaim& claim) {
  warm.store->take(claim.take_from.value_or(0), claim.floor);
  claim.number = warm.store->number();
  if (warm.store->catch_up(warm.engine->broker().restore_sink(), warm.name)) return true;
  claim.take_from = claim.number;
  warm.engine->close_store();
  return false;
}

metrics::Sample writes_lost_sample(const session::StoreCondition& c) {
  return {"berth_store_writes_lost_total",
          "",
          "",
          "Acknowledged writes that were missing from the embedded store at a start",
          true,
          c.writes_lost_total};
}

std::unique_ptr<engine::EngineShard> make_engine(const EngineParts& parts, StoreClaim& claim,
                                                 metrics::EngineProbe& probe) {
  for (int attempt = 0;; ++attempt) {
    session::RocksStore::Copier copier;
    try {
      auto engine = engine::EngineShard::restored(
          shard_parts(parts, probe, [&](engine::EngineShard& shard, const Post& post) {
            return parts.config.store_url.empty()
                       ? embedded_store(parts, shard, post, copier)
                       : redis_store(parts.config, claim, shard, post, parts.store_lost);
          }));
      answer_questions(parts, *engine);
      if (copier) answer_about_backups(parts, *engine, std::move(copier));
      return engine;
    } catch (const session::StoreDamaged& e) {  // half restored: begin again with the empty store
      if (attempt != 0) throw;
      BERTH_LOG(err, "begin again reason=\"{}\"", e.what());
    }
  }
}

}  // namespace berth::gateway
