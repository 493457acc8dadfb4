#include "gateway/config/config.h"

#include <yaml-cpp/yaml.h>
#include <algorithm>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <regex>
#include <sstream>
#include <utility>

#include "base/read_file.h"
#include "gateway/config/config_key.h"
#include "gateway/config/defaults.h"
#include "gateway/config/suggest.h"
#include "store/redis_connection.h"

extern char** environ;

namespace berth::gateway {
namespace {

const Key* find_key(const std::string& name) {
  for (const Key& k : keys()) {
    if (k.name == name) return &k;
  }
  return nullptr;
}

// Those of its section that begin with the same word, quoted: session.queue_bytes for
// session.queue_policy. At most four.
std::string namesakes(const std::string& name, const std::vector<std::string>& names) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {};
  const std::string begin = name.substr(0, name.find('_', dot));
  std::string all;
  std::size_t left = 4;
  for (const std::string& n : names) {
    if (left == 0 || !n.starts_with(begin + "_")) continue;
    all += (all.empty() ? "'" : ", '") + n + "'";
    --left;
  }
  return all;
}

// "; is 'mqtt.listen' meant?", or nothing.
std::string meant(const std::string& name, const std::vector<std::string>& names) {
  const std::string near = nearest(name, names);
  if (!near.empty()) return "; is '" + near + "' meant?";
  const std::string others = namesakes(name, names);
  return others.empty() ? others : "; is one of " + others + " meant?";
}

bool is_section(const std::string& name) {
  return std::any_of(keys().begin(), keys().end(),
                     [&](const Key& k) { return k.name.starts_with(name + "."); });
}

std::string first_of_section(const std::string& name) {
  for (const Key& k : keys()) {
    if (k.name.starts_with(name + ".")) return k.name;
  }
  return name;
}

std::string text_in(const std::string& path) {
  try {
    return base::read_file(path);
  } catch (const std::runtime_error& e) {
    throw ConfigError(e.what());
  }
}

// One config file.
class ConfigFile {
 public:
  ConfigFile(Config& config, const std::string& path) : config_(config), path_(path) {}

  void load() {
    const std::string text = text_in(path_);
    // As a full disk or a program that was killed leaves it: nobody means "forget all settings".
    if (text.find_first_not_of(" \t\r\n") == std::string::npos)
      throw ConfigError(path_ +
                        ":1: the file is empty; {} says that all settings have their defaults");
    const std::vector<YAML::Node> documents = parsed(text);
    if (documents.empty() || (documents.size() == 1 && documents[0].IsNull())) return;
    if (documents.size() > 1)
      throw ConfigError(where(documents[1].Mark()) + "a second document; a file has one");
    if (!documents[0].IsMap()) throw ConfigError(path_ + ":1: expected keys and values");
    apply(documents[0], "");
    if (wrongs_ > kWrongsTold) wrong_ += "; and " + std::to_string(wrongs_ - kWrongsTold) + " more";
    if (wrongs_ != 0) throw ConfigError(wrong_);
  }

 private:
  std::vector<YAML::Node> parsed(const std::string& text) const {
    try {
      return YAML::LoadAll(with_addresses_quoted(text));
    } catch (const YAML::Exception&) {
      refuse_tabs(text);
      throw;
    }
  }

  // YAML takes no tab in front of a key, and says of it only "illegal map value".
  void refuse_tabs(const std::string& text) const {
    std::istringstream in(text);
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      const std::size_t first = line.find_first_not_of(" \t");
      if (first == std::string::npos || line[first] == '#') continue;
      if (line.find('\t') < first)
        throw ConfigError(path_ + ":" + std::to_string(number) +
                          ": a tab in front of a key; YAML takes spaces only");
    }
  }

  // [::]:1883 is a list to YAML, and an address to whoever writes it.
  static std::string with_addresses_quoted(const std::string& text) {
    static const std::regex kAddress(R"((: +)(\[[0-9A-Fa-f:.]*\]:[0-9]+))");
    return std::regex_replace(text, kAddress, "$1\"$2\"");
  }

  std::string where(const YAML::Mark& m) const {
    return path_ + ":" + std::to_string(m.line + 1) + ": ";
  }

  void apply(const YAML::Node& node, const std::string& prefix) {
    for (const auto& item : node) {
      try {
        apply_one(item.first, item.second, prefix);
      } catch (const ConfigError& e) {  // the others are looked at too: one reading finds all
        if (++wrongs_ <= kWrongsTold)
          wrong_ += (wrong_.empty() ? "" : "; ") + std::string(e.what());
      }
    }
  }

  void apply_one(const YAML::Node& key, const YAML::Node& value, const std::string& prefix) {
    if (!key.IsScalar()) throw ConfigError(where(key.Mark()) + "expected a key");
    const std::string name = prefix + key.Scalar();
    const auto [first, fresh] = lines_.try_emplace(name, key.Mark().line + 1);
    if (!fresh)
      throw ConfigError(where(key.Mark()) + "'" + name + "' stands in line " +
                        std::to_string(first->second) + " already");
    if (value.IsMap()) {
      apply(value, name + ".");
    } else {
      set(name, key.Mark(), value);
    }
  }

  void set(const std::string& name, const YAML::Mark& at, const YAML::Node& value) {
    const Key* key = find_key(name);
    if (key == nullptr && value.IsNull() && is_section(name)) return;  // nothing in it
    if (key == nullptr && is_section(name))
      throw ConfigError(where(at) + "'" + name + "' has keys of its own, for example '" +
                        first_of_section(name) + "'");
    if (key == nullptr)
      throw ConfigError(where(at) + "unknown key '" + name + "'" + meant(name, config_keys()));
    if (value.IsNull()) return;
    if (!value.IsScalar()) throw ConfigError(where(value.Mark()) + name + ": expected one value");
    try {
      key->set(config_, value.Scalar());
    } catch (const ConfigError& e) {
      throw ConfigError(where(value.Mark()) + name + ": " + e.what());
    }
  }

  Config& config_;
  const std::string& path_;
  std::map<std::string, int> lines_;  // of the keys so far
  static constexpr int kWrongsTold = 20;
  int wrongs_ = 0;
  std::string wrong_;
};

// Variables that Kubernetes sets for services named berth and berth-engine, and our own ones.
bool is_somebody_elses(const std::string& name) {
  static const std::regex kServices(
      R"(BERTH_([A-Z0-9_]*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP)(_.*)?)?))");
  return name.starts_with("BERTH_SUPERVISOR_") || name.starts_with("BERTH_FAULT_") ||
         name == "BERTH_BINARY" || name == "BERTH_CTL_OUTPUT" || name == kDefaultsVariable ||
         std::regex_match(name, kServices);
}

constexpr const char* kFileSuffix = "_FILE";

// The first line of the file that the variable NAME_FILE names, for a setting that has no such file
// of its own; nothing: there is no such variable.
std::optional<std::string> value_in_file(const std::string& key) {
  if (find_key(key + "_file") != nullptr) return std::nullopt;
  const std::string name = environment_name(key) + kFileSuffix;
  const char* const path = std::getenv(name.c_str());
  if (path == nullptr || *path == '\0') return std::nullopt;
  if (std::getenv(environment_name(key).c_str()) != nullptr)
    throw ConfigError(name + " and " + environment_name(key) + " are both set");
  std::istringstream in;
  try {
    in.str(base::read_file(path));
  } catch (const std::runtime_error& e) {
    throw ConfigError(name + ": " + e.what());
  }
  std::string line;
  std::getline(in, line);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

void warn_of_unknown_variables(Config& config) {
  std::vector<std::string> known;
  for (const Key& k : keys()) {
    known.push_back(environment_name(k.name));
    known.push_back(environment_name(k.name) + kFileSuffix);
  }
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string name(*e, std::strcspn(*e, "="));
    if (!name.starts_with("BERTH_") || is_somebody_elses(name)) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    config.warnings.push_back("environment: unknown variable '" + name + "'" + meant(name, known));
  }
}

// Two that would listen at the same place.
void check_ports(const Config& c, Role role) {
  std::vector<std::pair<std::string, Endpoint>> taken;
  const auto take = [&taken](const std::string& name, const Endpoint& e) {
    const auto any = [](const Endpoint& x) {
      return x.host.empty() || x.host == "0.0.0.0" || x.host == "::";
    };
    for (const auto& [other, at] : taken) {
      if (e.port != 0 && at.port == e.port && (at.host == e.host || any(at) || any(e)))
        throw ConfigError(other + " and " + name + " have the same port " + std::to_string(e.port));
    }
    taken.emplace_back(name, e);
  };
  for (const edge::Transport t : edge::kTransports) {
    const ListenerConfig& l = c.listener(t);
    if (role != Role::engine && l.enabled())
      take(std::string(edge::name_of(t)) + ".listen", parse_endpoint(l.listen));
  }
  if (role == Role::engine) take("cluster.listen", c.cluster.listen);
  take("admin.listen", c.admin);
}

void check_engines(const Config& c) {
  std::istringstream in(c.cluster.engines);
  for (std::string one; std::getline(in, one, ',');) {
    const std::string wrong = "cluster.engines: '" + one + "' is not HOST:PORT";
    Endpoint e;
    try {
      e = parse_endpoint(one);
    } catch (const ConfigError&) {
      throw ConfigError(wrong);
    }
    if (e.host.empty() || e.port == 0) throw ConfigError(wrong);
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
  if (k == nullptr) throw ConfigError("unknown key '" + key + "'" + meant(key, config_keys()));
  k->set(config, value);
}

std::vector<std::string> config_keys() {
  std::vector<std::string> names;
  for (const Key& k : keys()) names.push_back(k.name);
  return names;
}

void load_file(Config& config, const std::string& path) {
  try {
    ConfigFile(config, path).load();
  } catch (const YAML::Exception& e) {
    throw ConfigError(path + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
}

void load_defaults(Config& config) {
  const char* const path = std::getenv(kDefaultsVariable);
  if (path != nullptr && *path != '\0') load_file(config, path);
}

void load_url_file(Config& config) {
  if (config.store_url_file.empty()) return;
  std::istringstream in;
  try {
    in.str(base::read_file(config.store_url_file));
  } catch (const std::runtime_error& e) {
    throw ConfigError(std::string("store.url_file: ") + e.what());
  }
  if (!(in >> config.store_url))
    throw ConfigError("store.url_file: " + config.store_url_file + ": no url in it");
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
    const char* const set = std::getenv(name.c_str());
    const std::optional<std::string> filed = value_in_file(k.name);
    if (set == nullptr && !filed) continue;
    try {
      k.set(config, filed ? *filed : set);
    } catch (const ConfigError& e) {
      throw ConfigError(name + ": " + e.what());
    }
  }
  warn_of_unknown_variables(config);
}

namespace {

// A packet must fit into what is kept of a connection, that into what is kept of all. What was not
// set gives way.
void fit_buffers(Config& c) {
  const Config defaults;
  std::size_t& cap = c.edge.input_cap;
  if (cap == defaults.edge.input_cap)
    cap = std::min(cap, std::max<std::size_t>(c.edge.input_cap_total, 65536));
  if (c.broker.packet_max == defaults.broker.packet_max && c.broker.packet_max >= cap)
    c.broker.packet_max = static_cast<std::uint32_t>(cap / 2);
}

}  // namespace

namespace {

// Of who listens for devices.
void check_devices(const Config& c) {
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
  if (!c.tls.crl_file.empty() && c.tls.client_certificates == edge::ClientCertificates::none)
    throw ConfigError("mqtts.crl_file needs mqtts.client_certificates");
  if (c.tls.user_name != edge::CertificateName::none &&
      c.tls.client_certificates == edge::ClientCertificates::none)
    throw ConfigError("mqtts.user_name needs mqtts.client_certificates");
}

}  // namespace

void check(Config& c, Role role) {
  check_ports(c, role);
  check_engines(c);
  fit_buffers(c);
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
  if (role != Role::engine) check_devices(c);
  const link::TlsFiles& tls = c.cluster.tls;
  if (tls.ca_file.empty() != tls.cert_file.empty() || tls.ca_file.empty() != tls.key_file.empty()) {
    throw ConfigError("cluster.ca_file, cluster.cert_file and cluster.key_file go together");
  }
}

std::map<std::string, std::string> to_environment(const Config& config) {
  std::map<std::string, std::string> out;
  for (const Key& k : keys()) out[environment_name(k.name)] = k.get(config);
  if (!config.store_url_file.empty()) out.erase(environment_name("store.url"));
  for (const Key& k : keys()) {  // who gets these values reads no file for them
    const std::string file = environment_name(k.name) + kFileSuffix;
    if (find_key(k.name + "_file") == nullptr && std::getenv(file.c_str()) != nullptr)
      out[file].clear();
  }
  return out;
}

}  // namespace berth::gateway
