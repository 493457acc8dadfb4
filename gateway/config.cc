#include "gateway/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "gateway/config_key.h"
#include "session/redis_connection.h"

namespace berth::gateway {
namespace {

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
  if (c.registry.source == RegistryConfig::Source::file && c.registry.file.empty())
    throw ConfigError("registry.source file needs registry.file");
  if (c.redis_cert_file.empty() != c.redis_key_file.empty()) {
    throw ConfigError("store.redis_cert_file and store.redis_key_file go together");
  }
  const auto is_on = [&c](edge::Transport t) { return c.listener(t).enabled(); };
  if (std::none_of(edge::kTransports.begin(), edge::kTransports.end(), is_on))
    throw ConfigError("one of mqtt, mqtts, ws, wss, park and parks must have a .listen address");
  for (const edge::Transport t : edge::kTransports) {
    if (edge::has_tls(t) && is_on(t) && (c.tls.cert_file.empty() || c.tls.key_file.empty()))
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
