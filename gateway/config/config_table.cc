// Every setting. A key that is not in config/berth.yaml with its default fails a test.
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <sstream>
#include <utility>

#include "gateway/config/config_key.h"
#include "gateway/registry/password_hash.h"
#include "protocol/link/types.h"

namespace berth::gateway {
namespace {

std::vector<Key> edge_keys() {
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  using Size = std::size_t;
  return {
      number<U32>(
          "mqtt.max_connections", [](Config& c) -> U32& { return c.edge.max_connections; }, 1,
          10'000'000),
      number<U32>(
          "mqtt.connect_timeout_s", [](Config& c) -> U32& { return c.edge.connect_timeout_s; }, 1,
          600),
      number<U32>(
          "mqtt.tcp_user_timeout_ms", [](Config& c) -> U32& { return c.edge.user_timeout_ms; }, 0),
      number<U32>(
          "mqtt.fresh_s", [](Config& c) -> U32& { return c.edge.fresh_s; }, 0, 86'400),
      number<Size>(
          "mqtt.input_buffer_bytes", [](Config& c) -> Size& { return c.edge.input_cap; }, 65536),
      number<Size>(
          "mqtt.input_buffer_total_bytes",
          [](Config& c) -> Size& { return c.edge.input_cap_total; }, 1 << 20),
      number<U32>(
          "mqtt.packet_timeout_s", [](Config& c) -> U32& { return c.edge.packet_timeout_s; }, 5,
          86'400),
      number<Size>(
          "mqtt.before_login_bytes", [](Config& c) -> Size& { return c.edge.before_login.bytes; },
          1 << 20),
      number<U32>(
          "mqtt.before_login_per_address",
          [](Config& c) -> U32& { return c.edge.before_login.connections_per_address; }, 0),
      number<Size>(
          "mqtt.output_buffer_bytes", [](Config& c) -> Size& { return c.edge.output_cap; }, 4096),
      number<U32>(
          "mqtt.max_packet_bytes", [](Config& c) -> U32& { return c.broker.packet_max; }, 1024,
          268'435'455),
      number<U16>(
          "mqtt.receive_maximum", [](Config& c) -> U16& { return c.broker.receive_maximum; }, 1),
      number<U16>(
          "mqtt.max_inflight", [](Config& c) -> U16& { return c.broker.inflight_max; }, 1),
      number<U16>(
          "mqtt.topic_alias_maximum", [](Config& c) -> U16& { return c.broker.alias_maximum; }, 0,
          16),
      number<U16>(
          "mqtt.keep_alive_max_s", [](Config& c) -> U16& { return c.broker.keep_alive_max_s; }, 0),
      number<U16>(
          "park.heartbeat_s", [](Config& c) -> U16& { return c.broker.park_heartbeat_s; }, 1, 3600),
      number<U32>(
          "engine.absent_max_s", [](Config& c) -> U32& { return c.edge.engine_absent_max_s; }, 1),
      number<U32>(
          "engine.quarantine_s", [](Config& c) -> U32& { return c.edge.quarantine_s; }, 1),
  };
}

std::vector<Key> session_keys() {
  using U32 = std::uint32_t;
  using Size = std::size_t;
  return {
      number<U32>(
          "session.expiry_max_s", [](Config& c) -> U32& { return c.broker.session_expiry_max_s; },
          0),
      number<U32>(
          "session.max_sessions", [](Config& c) -> U32& { return c.broker.sessions_max; }, 1),
      number<U32>(
          "session.max_subscriptions", [](Config& c) -> U32& { return c.broker.subscriptions_max; },
          1, 100'000),
      number<std::uint64_t>(
          "session.max_bytes",
          [](Config& c) -> std::uint64_t& { return c.broker.holdings.session_bytes; }, 1024,
          1u << 30),
      number<std::uint64_t>(
          "session.max_bytes_per_principal",
          [](Config& c) -> std::uint64_t& { return c.broker.holdings.principal_bytes; }, 0),
      number<std::uint64_t>(
          "session.max_bytes_per_tenant",
          [](Config& c) -> std::uint64_t& { return c.broker.holdings.tenant_bytes; }, 0),
      number<std::uint64_t>(
          "session.max_bytes_total",
          [](Config& c) -> std::uint64_t& { return c.broker.holdings.total_bytes; }, 0),
      number<U32>(
          "session.per_device", [](Config& c) -> U32& { return c.broker.holdings.per_device; }, 0,
          1000),
      number<U32>(
          "session.per_account", [](Config& c) -> U32& { return c.broker.holdings.per_account; },
          0),
      number<U32>(
          "session.per_user", [](Config& c) -> U32& { return c.broker.holdings.per_user; }, 0),
      number<U32>(
          "session.queue_messages", [](Config& c) -> U32& { return c.broker.queue_messages_max; },
          1, 10'000'000),
      number<std::uint64_t>(
          "session.queue_bytes",
          [](Config& c) -> std::uint64_t& { return c.broker.queue_bytes_max; }, 1024),
      choice(
          "session.queue_full", {"drop_oldest", "drop_new", "disconnect"},
          [](Config& c, int i) { c.broker.queue_policy = static_cast<session::QueuePolicy>(i); },
          [](const Config& c) { return static_cast<int>(c.broker.queue_policy); }),
      number<U32>(
          "session.restart_grace_s", [](Config& c) -> U32& { return c.broker.restart_grace_s; }, 0,
          86'400),
      number<Size>(
          "retained.max_messages",
          [](Config& c) -> Size& { return c.broker.retained_messages_max; }, 0),
      number<Size>(
          "retained.max_bytes", [](Config& c) -> Size& { return c.broker.retained_bytes_max; }, 0),
      number<U32>(
          "commands.per_service_per_s",
          [](Config& c) -> U32& { return c.broker.commands_per_service; }, 0, 1000),
      number<U32>(
          "commands.per_device_per_s",
          [](Config& c) -> U32& { return c.broker.commands_per_device; }, 0, 1000),
      number<U32>(
          "commands.keep_days", [](Config& c) -> U32& { return c.broker.command_keep_days; }, 1,
          3650),
      number<std::uint64_t>(
          "commands.keep_bytes",
          [](Config& c) -> std::uint64_t& { return c.broker.command_keep_bytes; }, 1 << 20),
      number<U32>(
          "sys_interval_s", [](Config& c) -> U32& { return c.broker.sys_interval_s; }, 0),
  };
}

std::vector<Key> platform_keys() {
  using U32 = std::uint32_t;
  return {
      number<U32>(
          "presence.offline_after_s",
          [](Config& c) -> U32& { return c.platform.presence.offline_after_s; }, 1, 86'400),
      number<std::int64_t>(
          "history.max_bytes",
          [](Config& c) -> std::int64_t& { return c.platform.history.max_bytes; }, 1 << 20),
  };
}

std::vector<Key> identity_keys() {
  using U32 = std::uint32_t;
  return {
      choice(
          "auth.anonymous", {"auto", "never", "loopback", "always"},
          [](Config& c, int i) { c.anonymous = static_cast<engine::Anonymous>(i); },
          [](const Config& c) { return static_cast<int>(c.anonymous); }),
      boolean("auth.unbound_proofs", &Config::unbound_proofs),
      text("auth.password_file", &Config::password_file),
      text("auth.acl_file", &Config::acl_file),
      number<U32>(
          "auth.failures_per_address", [](Config& c) -> U32& { return c.throttle.per_address; }, 0),
      number<U32>(
          "auth.failures_per_name", [](Config& c) -> U32& { return c.throttle.per_name; }, 0),
      number<U32>(
          "auth.failure_forgiven_s", [](Config& c) -> U32& { return c.throttle.forgiven_s; }, 1,
          86'400),
      text("admin.socket", &Config::admin_socket),
      text("admin.token_file", &Config::admin_token_file),
      text("admin.allowed_hosts", &Config::admin_allowed_hosts),
      choice(
          "registry.source", {"none", "file", "store"},
          [](Config& c, int i) { c.registry.source = static_cast<RegistryConfig::Source>(i); },
          [](const Config& c) { return static_cast<int>(c.registry.source); }),
      text_of("registry.file", [](Config& c) -> std::string& { return c.registry.file; }),
      text("uplinks.file", &Config::uplinks_file),
      text("uplinks.files_dir", &Config::uplinks_files_dir),
      number<std::uint64_t>(
          "uplinks.max_bytes", [](Config& c) -> std::uint64_t& { return c.uplinks_max_bytes; },
          1 << 20),
      text_of("registry.default_tenant",
              [](Config& c) -> std::string& { return c.registry.default_tenant; }),
      number<U32>(
          "registry.refresh_ms", [](Config& c) -> U32& { return c.registry.refresh_ms; }, 50, 4000),
      number<U32>(
          "registry.password_iterations",
          [](Config& c) -> U32& { return c.registry.password_iterations; }, 1,
          registry::PasswordHash::kIterationsMax),
      number<U32>(
          "registry.loss_grace_s", [](Config& c) -> U32& { return c.registry.loss_grace_s; }, 0,
          31'536'000),
  };
}

std::vector<Key> tracing_keys() {
  const auto taken = [](const std::string& fault) {
    if (!fault.empty()) throw ConfigError(fault);
  };
  return {
      {"tracing.endpoint",
       [taken](Config& c, const std::string& v) {
         taken(tracing::read_endpoint(v, c.tracing.endpoint));
       },
       [](const Config& c) { return c.tracing.endpoint.text; }},
      {"tracing.share",
       [taken](Config& c, const std::string& v) { taken(tracing::read_share(v, c.tracing.share)); },
       [](const Config& c) { return tracing::share_text(c.tracing.share); },
       {.kind = Values::Kind::share}},
      {"tracing.devices",
       [taken](Config& c, const std::string& v) {
         taken(tracing::read_devices(v, c.tracing.devices));
       },
       [](const Config& c) { return tracing::devices_text(c.tracing.devices); }},
      text_of("tracing.service_name",
              [](Config& c) -> std::string& { return c.tracing.service_name; }),
      text_of("tracing.ca_file", [](Config& c) -> std::string& { return c.tracing.ca_file; }),
      text_of("tracing.headers_file",
              [](Config& c) -> std::string& { return c.tracing.headers_file; }),
  };
}

std::vector<Key> process_keys() {
  using U32 = std::uint32_t;
  return {
      endpoint("admin.listen", [](Config& c) -> Endpoint& { return c.admin; }),
      number<U32>(
          "metrics.max_series", [](Config& c) -> U32& { return c.metrics_max_series; }, 1000,
          10'000'000),
      text("store.directory", &Config::data_directory),
      choice(
          "store.durability", {"process", "disk"}, [](Config& c, int i) { c.sync = i == 1; },
          [](const Config& c) { return c.sync ? 1 : 0; }),
      number<U32>(
          "store.backups_kept", [](Config& c) -> U32& { return c.backups_kept; }, 0, 100),
      text("store.url", &Config::store_url),
      text("store.url_file", &Config::store_url_file),
      text("store.redis_prefix", &Config::redis_prefix),
      number<U32>(
          "store.redis_wait_replicas", [](Config& c) -> U32& { return c.redis_wait_replicas; }, 0,
          10),
      number<U32>(
          "store.redis_wait_ms", [](Config& c) -> U32& { return c.redis_wait_ms; }, 1, 60'000),
      number<U32>(
          "store.redis_timeout_ms", [](Config& c) -> U32& { return c.redis_timeout_ms; }, 100,
          60'000),
      number<U32>(
          "store.redis_lease_ms", [](Config& c) -> U32& { return c.redis_lease_ms; }, 1000,
          600'000),
      text("store.redis_ca_file", &Config::redis_ca_file),
      text("store.redis_cert_file", &Config::redis_cert_file),
      text("store.redis_key_file", &Config::redis_key_file),
      boolean("single_process", &Config::single_process),
      number<U32>(
          "shards", [](Config& c) -> U32& { return c.shards; }, 1, 64),
      number<U32>(
          "engine.heartbeat_ms", [](Config& c) -> U32& { return c.heartbeat_ms; }, 20, 10'000),
      number<U32>(
          "engine.heartbeats_missed", [](Config& c) -> U32& { return c.heartbeats_missed; }, 2,
          100),
      number<U32>(
          "engine.memory_mb", [](Config& c) -> U32& { return c.engine_memory_mb; }, 0),
      boolean("engine.standby", &Config::standby),
      number<U32>(
          "drain_seconds", [](Config& c) -> U32& { return c.drain_seconds; }, 1, 3600),
      number<U32>(
          "drain.linger_s", [](Config& c) -> U32& { return c.drain_linger_s; }, 0, 600),
      choice(
          "log.format", {"text", "ecs"},
          [](Config& c, int i) { c.log_format = i == 0 ? "text" : "ecs"; },
          [](const Config& c) { return c.log_format == "text" ? 0 : 1; }),
      choice(
          "log.level", {"trace", "debug", "info", "warn", "error"},
          [](Config& c, int i) {
            static const char* const kLevels[] = {"trace", "debug", "info", "warn", "error"};
            c.log_level = kLevels[i];
          },
          [](const Config& c) {
            static const std::vector<std::string> kLevels = {"trace", "debug", "info", "warn",
                                                             "error"};
            return static_cast<int>(std::find(kLevels.begin(), kLevels.end(), c.log_level) -
                                    kLevels.begin());
          }),
  };
}

// NAME.listen and what belongs to it.
void add_listener_keys(std::vector<Key>& keys, edge::Transport t) {
  const std::string name = edge::name_of(t);
  keys.push_back({name + ".listen",
                  [t](Config& c, const std::string& v) {
                    if (!v.empty()) parse_endpoint(v);
                    c.listener(t).listen = v;
                  },
                  [t](const Config& c) { return c.listener(t).listen; }});
  keys.push_back(boolean_of(name + ".proxy_protocol",
                            [t](Config& c) -> bool& { return c.listener(t).proxy_protocol; }));
  if (t == edge::Transport::mqtt) return;  // mqtt.max_connections is for all together
  keys.push_back(number<std::uint32_t>(
      name + ".max_connections",
      [t](Config& c) -> std::uint32_t& { return c.listener(t).max_connections; }, 0));
}

// "10.0.0.0/8, 2001:db8::/32, 192.0.2.1"
std::vector<edge::Network> parse_networks(const std::string& text) {
  std::vector<edge::Network> all;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) {
    word.erase(std::remove(word.begin(), word.end(), ' '), word.end());
    if (word.empty()) continue;
    boost::system::error_code ec;
    const std::size_t slash = word.find('/');
    const auto address = boost::asio::ip::make_address(word.substr(0, slash), ec);
    if (ec) throw ConfigError("'" + word + "' is not an address or network");
    const unsigned width = address.is_v4() ? 32 : 128;
    const auto bits = static_cast<unsigned>(
        slash == std::string::npos ? width : parse_number(word.substr(slash + 1), 0, width));
    const base::Address value = address.is_v4()
                                    ? base::Address::v4(address.to_v4().to_bytes().data())
                                    : base::Address::v6(address.to_v6().to_bytes().data());
    all.push_back({value, 128 - width + bits});
  }
  return all;
}

std::string format_networks(const std::vector<edge::Network>& networks) {
  std::string all;
  for (const edge::Network& n : networks) {
    if (!all.empty()) all.push_back(',');
    const unsigned bits = n.address.is_v4() ? n.bits - 96 : n.bits;
    all.append(n.address.text()).append("/").append(std::to_string(bits));
  }
  return all;
}

std::vector<Key> device_keys() {
  using Text = std::string;
  using U32 = std::uint32_t;
  std::vector<Key> keys{
      text_of("mqtts.cert_file", [](Config& c) -> Text& { return c.tls.cert_file; }),
      text_of("mqtts.key_file", [](Config& c) -> Text& { return c.tls.key_file; }),
      text_of("mqtts.ca_file", [](Config& c) -> Text& { return c.tls.ca_file; }),
      text_of("mqtts.crl_file", [](Config& c) -> Text& { return c.tls.crl_file; }),
      text_of("mqtts.ticket_key_file", [](Config& c) -> Text& { return c.tls.ticket_key_file; }),
      choice(
          "mqtts.client_certificates", {"none", "optional", "required"},
          [](Config& c, int i) {
            c.tls.client_certificates = static_cast<edge::ClientCertificates>(i);
          },
          [](const Config& c) { return static_cast<int>(c.tls.client_certificates); }),
      choice(
          "mqtts.user_name", {"connect", "common_name", "dns_name", "fingerprint"},
          [](Config& c, int i) { c.tls.user_name = static_cast<edge::CertificateName>(i); },
          [](const Config& c) { return static_cast<int>(c.tls.user_name); }),
      choice(
          "mqtts.min_version", {"1.2", "1.3"}, [](Config& c, int i) { c.tls.tls13_only = i == 1; },
          [](const Config& c) { return c.tls.tls13_only ? 1 : 0; }),
      {"ws.path",
       [](Config& c, const std::string& v) {
         if (v.empty() || v.front() != '/') throw ConfigError("'" + v + "' does not begin with /");
         c.edge.ws_path = v;
       },
       [](const Config& c) { return c.edge.ws_path; }},
      text_of("ws.allowed_origins", [](Config& c) -> std::string& { return c.edge.ws_origins; }),
      {"mqtt.proxies", [](Config& c, const std::string& v) { c.edge.proxies = parse_networks(v); },
       [](const Config& c) { return format_networks(c.edge.proxies); }},
      number<U32>(
          "mqtt.max_connections_per_address",
          [](Config& c) -> U32& { return c.address_limits.connections; }, 0),
      number<U32>(
          "mqtt.connects_per_s_per_address",
          [](Config& c) -> U32& { return c.address_limits.per_s; }, 0),
  };
  for (const edge::Transport t : edge::kTransports) add_listener_keys(keys, t);
  return keys;
}

std::vector<Key> cluster_keys() {
  using U32 = std::uint32_t;
  using Text = std::string;
  return {
      endpoint("cluster.listen", [](Config& c) -> Endpoint& { return c.cluster.listen; }),
      text_of("cluster.engines", [](Config& c) -> Text& { return c.cluster.engines; }),
      text_of("cluster.name", [](Config& c) -> Text& { return c.cluster.name; }),
      text_of("cluster.handover", [](Config& c) -> Text& { return c.cluster.handover; }),
      boolean_of("cluster.handover_linger",
                 [](Config& c) -> bool& { return c.cluster.handover_linger; }),
      text_of("cluster.ca_file", [](Config& c) -> Text& { return c.cluster.tls.ca_file; }),
      text_of("cluster.cert_file", [](Config& c) -> Text& { return c.cluster.tls.cert_file; }),
      text_of("cluster.key_file", [](Config& c) -> Text& { return c.cluster.tls.key_file; }),
      text_of("cluster.peer_name", [](Config& c) -> Text& { return c.cluster.tls.peer_name; }),
      boolean_of("cluster.insecure", [](Config& c) -> bool& { return c.cluster.insecure; }),
      text_of("cluster.server_reference",
              [](Config& c) -> Text& { return c.cluster.server_reference; }),
      text_of("cluster.park_endpoint", [](Config& c) -> Text& { return c.cluster.park_endpoint; }),
      number<U32>(
          "cluster.resolve_ms", [](Config& c) -> U32& { return c.cluster.resolve_ms; }, 100,
          600'000),
      number<U32>(
          "cluster.heartbeats_missed",
          [](Config& c) -> U32& { return c.cluster.heartbeats_missed; }, 2, 100),
      number<U32>(
          "cluster.edge_grace_s", [](Config& c) -> U32& { return c.cluster.edge_grace_s; }, 1,
          3600),
      number<U32>(
          "cluster.partitions", [](Config& c) -> U32& { return c.cluster.partitions; }, 1,
          protocol::link::kPartitionsMax),
      number<U32>(
          "cluster.rebalance_ms", [](Config& c) -> U32& { return c.cluster.rebalance_ms; }, 100),
      number<U32>(
          "cluster.gather_ms", [](Config& c) -> U32& { return c.cluster.gather_ms; }, 0, 60'000),
      number<U32>(
          "cluster.drain_per_s", [](Config& c) -> U32& { return c.cluster.drain_per_s; }, 1),
      number<U32>(
          "mqtt.accept_per_s", [](Config& c) -> U32& { return c.edge.accept_per_s; }, 0),
  };
}

}  // namespace

const std::vector<Key>& keys() {
  static const std::vector<Key> all = [] {
    std::vector<Key> k = process_keys();
    for (auto& i : identity_keys()) k.push_back(std::move(i));
    for (auto& e : edge_keys()) k.push_back(std::move(e));
    for (auto& s : session_keys()) k.push_back(std::move(s));
    for (auto& p : platform_keys()) k.push_back(std::move(p));
    for (auto& t : tracing_keys()) k.push_back(std::move(t));
    for (auto& c : cluster_keys()) k.push_back(std::move(c));
    for (auto& c : device_keys()) k.push_back(std::move(c));
    return k;
  }();
  return all;
}

}  // namespace berth::gateway
