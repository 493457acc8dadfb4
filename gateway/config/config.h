// The gateway's settings: defaults, config file, environment BERTH_*, flags, each overriding the
// one before. One table (config_table.cc) knows every key; config/berth.yaml documents them. Bad
// values throw ConfigError with file:line (or the variable or flag); at start-up only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "gateway/edge/address_limit_options.h"
#include "gateway/edge/edge_options.h"
#include "gateway/edge/listener.h"
#include "gateway/engine/login_options.h"
#include "gateway/link/tls_files.h"
#include "gateway/tracing/options.h"
#include "platform/options.h"
#include "session/broker_options.h"

namespace berth::gateway {

struct ConfigError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

// Edges and engines as processes of their own (ADR 8).
struct ClusterConfig {
  Endpoint listen{"127.0.0.1", 7883};  // an engine's, for edges
  std::string engines;  // an edge's: HOST:PORT,… of the engines, names resolved again
  std::uint32_t resolve_ms = 2000;
  std::uint32_t heartbeats_missed = 3;  // of engine.heartbeat_ms: then a link is broken
  std::uint32_t edge_grace_s = 10;      // an edge out of reach is given up after it
  std::uint32_t partitions = 1;         // of the sessions; each is served by one engine at a time
  std::uint32_t rebalance_ms = 5000;    // settled for so long, engines even out what they hold
  std::uint32_t gather_ms = 3000;       // a new engine waits for edges it expects, at most
  std::string name;                     // of this process, for people; the host's
  std::string handover;                 // an edge's: Unix socket by which its successor takes over
  bool handover_linger = false;         // and then this process waits for SIGTERM
  link::TlsFiles tls;
  bool insecure = false;             // links beyond loopback without TLS are meant so
  std::uint32_t drain_per_s = 1000;  // connections an edge that ends closes a second
  std::string server_reference;      // where they are sent (MQTT 5)
  std::string park_endpoint;         // and those of the Park protocol
};

// One of the ways by which devices come.
struct ListenerConfig {
  std::string listen;  // HOST:PORT; empty: off
  bool proxy_protocol = false;
  std::uint32_t max_connections = 0;  // 0: only mqtt.max_connections, which is for all together
  bool enabled() const { return !listen.empty(); }
};

// Who may come in, by name (gateway/registry).
struct RegistryConfig {
  enum class Source : std::uint8_t { none, file, store };
  Source source = Source::none;
  std::string file;                 // YAML
  std::string default_tenant;       // of who logs in without "@tenant"
  std::uint32_t refresh_ms = 1000;  // how often it is asked for changes
  std::uint32_t password_iterations = 1000;
  std::uint32_t loss_grace_s = 86'400;  // until the loss of most records is believed; 0: at once
};

struct Config {
  std::array<ListenerConfig, edge::kTransports.size()> listeners{
      ListenerConfig{.listen = "127.0.0.1:1883"}};
  ListenerConfig& listener(edge::Transport t) { return listeners[edge::index_of(t)]; }
  const ListenerConfig& listener(edge::Transport t) const { return listeners[edge::index_of(t)]; }
  edge::TlsServerOptions tls;    // of mqtts, wss and parks
  bool any_device_tls() const {  // one of them listens
    return std::any_of(edge::kTransports.begin(), edge::kTransports.end(),
                       [this](auto t) { return edge::has_tls(t) && listener(t).enabled(); });
  }
  edge::AddressLimitOptions address_limits;
  Endpoint admin{"127.0.0.1", 9180};
  std::string admin_socket;  // path of a Unix socket for berth ctl and probes; empty: none
  std::string data_directory = "./data";
  std::uint32_t backups_kept = 3;  // in data_directory; 0: none are made
  bool sync = true;                // durability: disk
  std::string store_url;           // empty: the embedded store in data_directory
  std::string store_url_file;  // where it stands instead, so that no process list has its password
  std::string redis_prefix = "berth:";
  std::string redis_partition;  // follows it in the keys of a partition; not set by a key
  std::uint32_t redis_wait_replicas = 0;
  std::uint32_t redis_wait_ms = 1000;
  std::uint32_t redis_timeout_ms = 2000;
  std::uint32_t redis_lease_ms = 5000;
  std::string redis_ca_file;
  std::string redis_cert_file;
  std::string redis_key_file;
  bool single_process = false;
  std::uint32_t shards = 1;
  engine::Anonymous anonymous = engine::Anonymous::automatic;
  bool unbound_proofs = false;  // of credentials of type hmac, over MQTT
  std::string password_file;
  std::string acl_file;
  engine::LoginThrottleOptions throttle;
  edge::EdgeOptions edge;
  session::BrokerOptions broker;
  platform::PlatformOptions platform;
  std::uint32_t heartbeat_ms = 250;     // engine to edge
  std::uint32_t heartbeats_missed = 6;  // then the engine is killed
  std::uint32_t engine_memory_mb = 0;   // 0: no limit of its own
  bool standby = true;
  std::uint32_t drain_seconds = 20;  // at most, for SIGTERM
  std::uint32_t drain_linger_s = 0;  // an edge's: it accepts so long before it drains
  ClusterConfig cluster;
  RegistryConfig registry;
  std::string uplinks_file;                                  // empty: there are none
  std::string uplinks_files_dir;  // of files that an uplink made over REST may name; empty: none
  std::uint64_t uplinks_max_bytes = std::uint64_t{4} << 30;  // of their queues in a partition
  std::string admin_token_file;                              // empty: admin.token in data_directory
  std::string admin_allowed_hosts;  // names by which the admin port may be asked
  std::uint32_t metrics_max_series = 5000;
  tracing::TracingOptions tracing;
  std::string log_format = "text";
  std::string log_level = "info";
  std::vector<std::string> warnings = {};  // what does not keep the gateway from starting
};

// Sets one key by its dotted name. Throws ConfigError without a location.
void set_key(Config& config, const std::string& key, const std::string& value);
std::vector<std::string> config_keys();

void load_file(Config& config, const std::string& path);  // YAML, one document
void load_environment(Config& config);  // a BERTH_* variable that is no setting is a warning
void load_url_file(Config& config);     // store.url_file, if there is one
// What a process of this configuration is to be: the settings of device listeners are not an
// engine's.
enum class Role : std::uint8_t { serve, edge, engine };
// What only shows when all is known. Greatest packet and input buffer, where they were not set, are
// lowered to fit what was. Throws ConfigError.
void check(Config& config, Role role = Role::serve);

Endpoint parse_endpoint(const std::string& value);  // HOST:PORT, [V6]:PORT; throws ConfigError

// Every key with its value, as environment variables: what a child process is given. Without the
// store's URL where that stands in a file.
std::map<std::string, std::string> to_environment(const Config& config);
std::string environment_name(const std::string& key);  // mqtt.listen -> BERTH_MQTT_LISTEN

}  // namespace berth::gateway
