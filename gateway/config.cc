#include "gateway/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <limits>
#include <sstream>

#include "session/redis_connection.h"

namespace berth::gateway {
namespace {

struct Key {
  std::string name;
  std::function<void(Config&, const std::string&)> set;
  std::function<std::string(const Config&)> get;
};

std::uint64_t parse_number(const std::string& text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size() || v < min || v > max) {
    throw ConfigError("'" + text + "' is not a number from " + std::to_string(min) + " to " +
                      std::to_string(max));
  }
  return v;
}

bool parse_bool(const std::string& text) {
  if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "0") return false;
  throw ConfigError("'" + text + "' is neither true nor false");
}

std::string format_endpoint(const Endpoint& e) {
  const bool v6 = e.host.find(':') != std::string::npos;
  return (v6 ? "[" + e.host + "]" : e.host) + ":" + std::to_string(e.port);
}

template <class T>
Key number(std::string name, std::function<T&(Config&)> field, std::uint64_t min,
           std::uint64_t max = std::numeric_limits<T>::max()) {
  return {std::move(name),
          [=](Config& c, const std::string& v) {
            field(c) = static_cast<T>(parse_number(v, min, max));
          },
          [=](const Config& c) { return std::to_string(field(const_cast<Config&>(c))); }};
}
Key text(std::string name, std::string Config::*field) {
  return {std::move(name), [=](Config& c, const std::string& v) { c.*field = v; },
          [=](const Config& c) { return c.*field; }};
}
Key boolean(std::string name, bool Config::*field) {
  return {std::move(name), [=](Config& c, const std::string& v) { c.*field = parse_bool(v); },
          [=](const Config& c) { return std::string(c.*field ? "true" : "false"); }};
}
Key boolean_of(std::string name, std::function<bool&(Config&)> field) {
  return {std::move(name), [=](Config& c, const std::string& v) { field(c) = parse_bool(v); },
          [=](const Config& c) {
            return std::string(field(const_cast<Config&>(c)) ? "true" : "false");
          }};
}
Key endpoint(std::string name, Endpoint Config::*field) {
  return {std::move(name), [=](Config& c, const std::string& v) { c.*field = parse_endpoint(v); },
          [=](const Config& c) { return format_endpoint(c.*field); }};
}
// One of a fixed list of words, by its place in the list.
Key choice(std::string name, const std::vector<std::string>& words,
           const std::function<void(Config&, int)>& set,
           const std::function<int(const Config&)>& get) {
  return {std::move(name),
          [=](Config& c, const std::string& v) {
            const auto it = std::find(words.begin(), words.end(), v);
            if (it == words.end()) {
              std::string all;
              for (const auto& w : words) all += (all.empty() ? "" : ", ") + w;
              throw ConfigError("'" + v + "' is not one of: " + all);
            }
            set(c, static_cast<int>(it - words.begin()));
          },
          [=](const Config& c) { return words[static_cast<std::size_t>(get(c))]; }};
}

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
      number<Size>(
          "mqtt.input_buffer_bytes", [](Config& c) -> Size& { return c.edge.input_cap; }, 65536),
      number<Size>(
          "mqtt.input_buffer_total_bytes",
          [](Config& c) -> Size& { return c.edge.input_cap_total; }, 1 << 20),
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
          "sys_interval_s", [](Config& c) -> U32& { return c.broker.sys_interval_s; }, 0),
  };
}

std::vector<Key> process_keys() {
  using U32 = std::uint32_t;
  return {
      endpoint("admin.listen", &Config::admin),
      text("store.directory", &Config::data_directory),
      choice(
          "store.durability", {"process", "disk"}, [](Config& c, int i) { c.sync = i == 1; },
          [](const Config& c) { return c.sync ? 1 : 0; }),
      text("store.url", &Config::store_url),
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
      choice(
          "auth.anonymous", {"never", "loopback", "always"},
          [](Config& c, int i) { c.anonymous = static_cast<engine::Anonymous>(i); },
          [](const Config& c) { return static_cast<int>(c.anonymous); }),
      text("auth.password_file", &Config::password_file),
      text("auth.acl_file", &Config::acl_file),
      number<U32>(
          "auth.failures_per_address", [](Config& c) -> U32& { return c.throttle.per_address; }, 0),
      number<U32>(
          "auth.failures_per_name", [](Config& c) -> U32& { return c.throttle.per_name; }, 0),
      number<U32>(
          "auth.failure_forgiven_s", [](Config& c) -> U32& { return c.throttle.forgiven_s; }, 1,
          86'400),
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

Key text_of(std::string name, const std::function<std::string&(Config&)>& field) {
  return {std::move(name), [=](Config& c, const std::string& v) { field(c) = v; },
          [=](const Config& c) { return field(const_cast<Config&>(c)); }};
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
      {"cluster.listen",
       [](Config& c, const std::string& v) { c.cluster.listen = parse_endpoint(v); },
       [](const Config& c) { return format_endpoint(c.cluster.listen); }},
      text_of("cluster.engines", [](Config& c) -> Text& { return c.cluster.engines; }),
      text_of("cluster.name", [](Config& c) -> Text& { return c.cluster.name; }),
      text_of("cluster.handover", [](Config& c) -> Text& { return c.cluster.handover; }),
      boolean_of("cluster.handover_linger",
                 [](Config& c) -> bool& { return c.cluster.handover_linger; }),
      text_of("cluster.ca_file", [](Config& c) -> Text& { return c.cluster.tls.ca_file; }),
      text_of("cluster.cert_file", [](Config& c) -> Text& { return c.cluster.tls.cert_file; }),
      text_of("cluster.key_file", [](Config& c) -> Text& { return c.cluster.tls.key_file; }),
      text_of("cluster.peer_name", [](Config& c) -> Text& { return c.cluster.tls.peer_name; }),
      text_of("cluster.server_reference",
              [](Config& c) -> Text& { return c.cluster.server_reference; }),
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

const std::vector<Key>& keys() {
  static const std::vector<Key> all = [] {
    std::vector<Key> k = process_keys();
    for (auto& e : edge_keys()) k.push_back(std::move(e));
    for (auto& s : session_keys()) k.push_back(std::move(s));
    for (auto& c : cluster_keys()) k.push_back(std::move(c));
    for (auto& c : device_keys()) k.push_back(std::move(c));
    return k;
  }();
  return all;
}

const Key* find_key(const std::string& name) {
  for (const Key& k : keys()) {
    if (k.name == name) return &k;
  }
  return nullptr;
}

void apply_node(Config& config, const YAML::Node& node, const std::string& prefix,
                const std::string& path) {
  const auto where = [&](const YAML::Mark& m) {
    return path + ":" + std::to_string(m.line + 1) + ": ";
  };
  for (const auto& item : node) {
    const std::string name = prefix + item.first.as<std::string>();
    if (item.second.IsMap()) {
      apply_node(config, item.second, name + ".", path);
      continue;
    }
    const Key* key = find_key(name);
    if (key == nullptr) throw ConfigError(where(item.first.Mark()) + "unknown key '" + name + "'");
    if (item.second.IsNull()) continue;
    if (!item.second.IsScalar())
      throw ConfigError(where(item.second.Mark()) + name + ": expected one value");
    try {
      key->set(config, item.second.Scalar());
    } catch (const ConfigError& e) {
      throw ConfigError(where(item.second.Mark()) + name + ": " + e.what());
    }
  }
}

}  // namespace

Endpoint parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw ConfigError("'" + text + "' is not HOST:PORT");
  Endpoint e;
  e.host = text.substr(0, colon);
  if (e.host.size() >= 2 && e.host.front() == '[' && e.host.back() == ']') {
    e.host = e.host.substr(1, e.host.size() - 2);
  }
  e.port = static_cast<std::uint16_t>(parse_number(text.substr(colon + 1), 0, 65535));
  return e;
}

void set_key(Config& config, const std::string& key, const std::string& value) {
  const Key* k = find_key(key);
  if (k == nullptr) throw ConfigError("unknown key '" + key + "'");
  k->set(config, value);
}

std::vector<std::string> config_keys() {
  std::vector<std::string> names;
  for (const Key& k : keys()) names.push_back(k.name);
  return names;
}

void load_file(Config& config, const std::string& path) {
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return;
    if (!root.IsMap()) throw ConfigError(path + ":1: expected keys and values");
    apply_node(config, root, "", path);
  } catch (const YAML::ParserException& e) {
    throw ConfigError(path + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  } catch (const YAML::BadFile&) {
    throw ConfigError(path + ":0: cannot be read");
  }
}

std::string environment_name(const std::string& key) {
  std::string out = "BERTH_";
  for (const char c : key)
    out.push_back(c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return out;
}

void load_environment(Config& config) {
  for (const Key& k : keys()) {
    const std::string name = environment_name(k.name);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) continue;
    try {
      k.set(config, value);
    } catch (const ConfigError& e) {
      throw ConfigError(name + ": " + e.what());
    }
  }
}

void check(const Config& c) {
  if (c.broker.packet_max >= c.edge.input_cap) {
    throw ConfigError(
        "mqtt.max_packet_bytes must be below mqtt.input_buffer_bytes: a packet must fit "
        "into what is kept for replay");
  }
  if (c.edge.input_cap_total < c.edge.input_cap) {
    throw ConfigError("mqtt.input_buffer_total_bytes must not be below mqtt.input_buffer_bytes");
  }
  try {
    if (!c.store_url.empty()) session::parse_redis_url(c.store_url);
  } catch (const std::invalid_argument& e) {
    throw ConfigError(std::string("store.url: ") + e.what());
  }
  if (c.redis_cert_file.empty() != c.redis_key_file.empty()) {
    throw ConfigError("store.redis_cert_file and store.redis_key_file go together");
  }
  const auto is_on = [&c](edge::Transport t) { return c.listener(t).enabled(); };
  if (std::none_of(edge::kTransports.begin(), edge::kTransports.end(), is_on))
    throw ConfigError("one of mqtt.listen, mqtts.listen, ws.listen and wss.listen must be set");
  for (const edge::Transport t : {edge::Transport::mqtts, edge::Transport::wss}) {
    if (is_on(t) && (c.tls.cert_file.empty() || c.tls.key_file.empty()))
      throw ConfigError(std::string(edge::name_of(t)) +
                        ".listen needs mqtts.cert_file and mqtts.key_file");
  }
  if (c.tls.client_certificates != edge::ClientCertificates::none && c.tls.ca_file.empty())
    throw ConfigError("mqtts.client_certificates needs mqtts.ca_file");
  if (c.tls.user_name != edge::CertificateName::none &&
      c.tls.client_certificates == edge::ClientCertificates::none)
    throw ConfigError("mqtts.user_name needs mqtts.client_certificates");
  const link::TlsFiles& tls = c.cluster.tls;
  if (tls.ca_file.empty() != tls.cert_file.empty() || tls.ca_file.empty() != tls.key_file.empty()) {
    throw ConfigError("cluster.ca_file, cluster.cert_file and cluster.key_file go together");
  }
}

std::map<std::string, std::string> to_environment(const Config& config) {
  std::map<std::string, std::string> out;
  for (const Key& k : keys()) out[environment_name(k.name)] = k.get(config);
  return out;
}

}  // namespace berth::gateway
