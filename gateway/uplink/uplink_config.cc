#include "gateway/uplink/uplink_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/read_file.h"
#include "gateway/uplink/uplink_topics.h"
#include "protocol/mqtt/topic.h"
#include "session/uplinks.h"

namespace berth::gateway::uplink {
namespace {

constexpr std::size_t kListMax = 100;  // of one key
constexpr std::uint32_t kConnectionsMax = 16;

class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  [[noreturn]] void fail(const YAML::Node& at, const std::string& why) const {
    const int line = at.Mark().line;
    throw std::runtime_error(path_ + (line < 0 ? "" : ":" + std::to_string(line + 1)) + ": " +
                             (key_.empty() ? "" : key_ + ": ") + why);
  }
  // Of this key are the next errors; empty: of none.
  void reads(std::string key) const { key_ = std::move(key); }
  std::string text(const YAML::Node& n) const {
    if (!n.IsScalar()) fail(n, "a text is expected");
    return n.Scalar();
  }
  std::uint64_t number(const YAML::Node& n, std::uint64_t min, std::uint64_t max) const {
    const std::string t = text(n);
    std::uint64_t v = 0;
    const bool digits = !t.empty() && t.size() < 19 && std::all_of(t.begin(), t.end(), [](char c) {
      return c >= '0' && c <= '9';
    });
    if (digits) v = std::stoull(t);
    if (!digits || v < min || v > max)
      fail(n, "a number from " + std::to_string(min) + " to " + std::to_string(max));
    return v;
  }
  std::vector<std::string> list(const YAML::Node& n) const {
    if (!n.IsSequence() || n.size() > kListMax)
      fail(n, "a list of at most " + std::to_string(kListMax) + " texts is expected");
    std::vector<std::string> out;
    for (const YAML::Node& one : n) out.push_back(text(one));
    return out;
  }

 private:
  const std::string path_;
  mutable std::string key_;
};

bool is_name(const std::string& s) {
  if (s.empty() || s.size() > 64) return false;
  return std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

std::string read_name(const Reader& r, const YAML::Node& n) {
  std::string s = r.text(n);
  if (!is_name(s)) r.fail(n, "1 to 64 characters of A-Z a-z 0-9 _ . -");
  return s;
}

std::vector<std::string> read_names(const Reader& r, const YAML::Node& n) {
  std::vector<std::string> all = r.list(n);
  for (const std::string& s : all) {
    if (!is_name(s)) r.fail(n, s + ": 1 to 64 characters of A-Z a-z 0-9 _ . -");
  }
  return all;
}

// "event", or "event/plate": one type of events or telemetry.
std::vector<std::string> read_selections(const Reader& r, const YAML::Node& n) {
  std::vector<std::string> all = r.list(n);
  for (const std::string& s : all) {
    const std::size_t slash = s.find('/');
    const std::string what = s.substr(0, slash);
    const bool known =
        std::find(std::begin(kSelections), std::end(kSelections), what) != std::end(kSelections);
    const bool typed = slash == std::string::npos ||
                       ((what == "event" || what == "telemetry") && is_name(s.substr(slash + 1)));
    if (!known || !typed)
      r.fail(n, s + ": one of event, event/TYPE, telemetry, telemetry/TYPE, state, presence, "
                    "result");
  }
  return all;
}

std::vector<std::string> read_filters(const Reader& r, const YAML::Node& n) {
  std::vector<std::string> all = r.list(n);
  for (const std::string& s : all) {
    const auto f = protocol::mqtt::parse_filter(s);
    if (!f.valid || f.shared || s.starts_with("$")) r.fail(n, s + ": no filter of topics");
  }
  return all;
}

std::string read_url(const Reader& r, const YAML::Node& n) {
  std::string url = r.text(n);
  if (url.find('@') != std::string::npos)
    r.fail(n, "no password in a url: user_name and password_file");
  return url;
}

std::string read_one_of(const Reader& r, const YAML::Node& n,
                        const std::vector<std::string>& known) {
  const std::string t = r.text(n);
  if (std::find(known.begin(), known.end(), t) != known.end()) return t;
  std::string all;
  for (const std::string& k : known) all += (all.empty() ? "" : ", ") + k;
  r.fail(n, "one of " + all);
}

bool read_bool(const Reader& r, const YAML::Node& n) {
  return read_one_of(r, n, {"true", "false"}) == "true";
}

std::string read_topic(const Reader& r, const YAML::Node& n,
                       const std::vector<std::string>& places) {
  std::string t = r.text(n);
  std::string rest = t;
  for (const std::string& p : places) {
    for (std::size_t at; (at = rest.find(p)) != std::string::npos;) rest.erase(at, p.size());
  }
  if (t.empty() || rest.find_first_of("{}+#") != std::string::npos) {
    std::string known;
    for (const std::string& p : places) known += (known.empty() ? "" : ", ") + p;
    r.fail(n, "a topic without + and #; in braces: " + known);
  }
  return t;
}

constexpr unsigned bit(Kind k) {
  return 1u << static_cast<unsigned>(k);
}
constexpr unsigned kMqtt = bit(Kind::mqtt), kKafka = bit(Kind::kafka),
                   kRabbit = bit(Kind::rabbitmq), kWebhook = bit(Kind::webhook), kAll = 15;

struct Key {
  std::function<void(UplinkConfig&, const Reader&, const YAML::Node&)> read;
  unsigned kinds = kAll;  // that have it
};

const std::vector<std::string>& topic_places() {
  static const std::vector<std::string> kPlaces{"{tenant}", "{site}", "{device}",
                                                "{what}",   "{type}", "{rest}"};
  return kPlaces;
}

Kind read_kind(const Reader& r, const YAML::Node& n) {
  const std::string t = read_one_of(r, n, {"mqtt", "kafka", "rabbitmq", "webhook"});
  for (const Kind k : {Kind::mqtt, Kind::kafka, Kind::rabbitmq}) {
    if (t == name_of(k)) return k;
  }
  return Kind::webhook;
}

Format read_format(const Reader& r, const YAML::Node& n) {
  const std::string t = read_one_of(r, n, {"tenant", "protobuf", "json"});
  return t == "tenant" ? Format::tenant : t == "json" ? Format::json : Format::protobuf;
}

const std::map<std::string, Key>& keys() {
  using C = UplinkConfig;
  using R = Reader;
  using N = YAML::Node;
  static const auto text = [](std::string C::*field) {
    return [field](C& c, const R& r, const N& n) { c.*field = r.text(n); };
  };
  static const auto number = [](std::uint32_t C::*field, std::uint64_t min, std::uint64_t max) {
    return [=](C& c, const R& r, const N& n) {
      c.*field = static_cast<std::uint32_t>(r.number(n, min, max));
    };
  };
  static const auto bytes = [](std::uint64_t C::*field) {
    return [field](C& c, const R& r, const N& n) {
      c.*field = r.number(n, 1 << 20, std::uint64_t{1} << 44);
    };
  };
  static const std::map<std::string, Key> kKeys{
      {"name", {[](C& c, const R& r, const N& n) { c.name = read_name(r, n); }}},
      {"kind", {[](C& c, const R& r, const N& n) { c.kind = read_kind(r, n); }}},
      {"url", {[](C& c, const R& r, const N& n) { c.url = read_url(r, n); }}},
      {"select", {[](C& c, const R& r, const N& n) { c.select = read_selections(r, n); }}},
      {"tenants", {[](C& c, const R& r, const N& n) { c.tenants = read_names(r, n); }}},
      {"sites", {[](C& c, const R& r, const N& n) { c.sites = read_names(r, n); }}},
      {"topics", {[](C& c, const R& r, const N& n) { c.topics = read_filters(r, n); }}},
      {"topic", {[](C& c, const R& r, const N& n) { c.topic = read_topic(r, n, topic_places()); }}},
      {"plain_topic",
       {[](C& c, const R& r, const N& n) { c.plain_topic = read_topic(r, n, {"{topic}"}); }}},
      {"format", {[](C& c, const R& r, const N& n) { c.format = read_format(r, n); }}},
      {"user_name", {text(&C::user_name), kMqtt | kKafka | kRabbit}},
      {"password_file", {text(&C::password_file), kMqtt | kKafka | kRabbit}},
      {"ca_file", {text(&C::ca_file)}},
      {"cert_file", {text(&C::cert_file)}},
      {"key_file", {text(&C::key_file)}},
      {"connections", {number(&C::connections, 1, kConnectionsMax), kMqtt | kRabbit | kWebhook}},
      {"queue_messages", {number(&C::queue_messages, 1000, 100'000'000)}},
      {"queue_bytes", {bytes(&C::queue_bytes)}},
      {"keep_hours", {number(&C::keep_hours, 0, 24 * 31)}},
      {"keep_bytes", {bytes(&C::keep_bytes)}},
      {"dead_letters", {number(&C::dead_letters, 0, 10'000)}},
      {"commands", {[](C& c, const R& r, const N& n) { c.commands = read_bool(r, n); }, kMqtt}},
      {"version", {number(&C::version, 4, 5), kMqtt}},
      {"client_id",
       {[](C& c, const R& r, const N& n) { c.client_id = read_name(r, n); },
        kMqtt | kKafka | kRabbit}},
      {"sasl",
       {[](C& c, const R& r, const N& n) {
          c.sasl = read_one_of(r, n, {"PLAIN", "EXTERNAL", "SCRAM-SHA-256", "SCRAM-SHA-512"});
        },
        kKafka | kRabbit}},
      {"compression",
       {[](C& c, const R& r, const N& n) {
          c.compression = read_one_of(r, n, {"none", "gzip", "snappy", "lz4", "zstd"});
        },
        kKafka}},
      {"exchange", {[](C& c, const R& r, const N& n) { c.exchange = read_name(r, n); }, kRabbit}},
      {"declare", {[](C& c, const R& r, const N& n) { c.declare = read_bool(r, n); }, kRabbit}},
      {"secret_file", {text(&C::secret_file), kWebhook}},
      {"token_file", {text(&C::token_file), kWebhook}},
      {"batch_messages", {number(&C::batch_messages, 1, 1000), kWebhook}},
      {"timeout_s", {number(&C::timeout_s, 1, 60), kWebhook}}};
  return kKeys;
}

// By what it shows the platform who it is.
void check_login(const Reader& r, const YAML::Node& n, const UplinkConfig& c, bool tls) {
  if (c.cert_file.empty() != c.key_file.empty()) r.fail(n, "cert_file and key_file go together");
  if (!tls && !(c.ca_file + c.cert_file).empty())
    r.fail(n, "ca_file and cert_file are of a url with TLS");
  const bool named = !c.user_name.empty() || !c.password_file.empty();
  const auto fail = [&](const std::string& why) {
    r.reads("sasl");
    r.fail(n["sasl"], why);
  };
  if (c.kind == Kind::kafka) {
    if (c.sasl == "EXTERNAL")
      fail("Kafka has no EXTERNAL: with a client certificate (cert_file) leave sasl out");
    if (!c.sasl.empty() && (c.user_name.empty() || c.password_file.empty()))
      r.fail(n, "sasl needs user_name and password_file");
    if (c.sasl.empty() && named) r.fail(n, "user_name and password_file need sasl");
  }
  if (c.kind == Kind::rabbitmq) {
    if (c.sasl.starts_with("SCRAM")) fail("RabbitMQ has PLAIN and EXTERNAL");
    if (c.sasl == "EXTERNAL" && c.cert_file.empty())
      fail("EXTERNAL needs cert_file and key_file: RabbitMQ knows by them who it is");
    if (c.sasl == "EXTERNAL" && named)
      fail("EXTERNAL takes the name from the certificate: no user_name and password_file");
  }
}

// What does not fit together.
void check_whole(const Reader& r, const YAML::Node& n, const UplinkConfig& c) {
  bool tls = false;
  try {
    tls = c.where().tls;
  } catch (const std::invalid_argument& e) {
    r.reads("url");
    r.fail(n["url"], e.what());
  }
  check_login(r, n, c, tls);
  if (c.kind == Kind::webhook && c.secret_file.empty())
    r.fail(n, "secret_file is missing: the platform knows by the signature that it is Berth");
  if (filters_of(c).empty()) r.fail(n, "it selects nothing");
  if (c.commands && c.tenants.empty())
    r.fail(n, "commands needs tenants: whose devices the platform may command");
  if (c.commands && command_filter(c).empty())
    r.fail(n,
           "commands needs a topic with {tenant}, {site} and {device} as levels and {rest} at its "
           "end");
}

UplinkConfig read_one(const Reader& r, const YAML::Node& n) {
  if (!n.IsMap()) r.fail(n, "an uplink is a map");
  UplinkConfig c;
  std::map<std::string, YAML::Node> given;
  for (const auto& pair : n) {
    const YAML::Node& key = pair.first;
    const std::string name = r.text(key);
    const auto it = keys().find(name);
    if (it == keys().end()) r.fail(key, "unknown key '" + name + "'");
    if (!given.emplace(name, key).second) r.fail(key, "key '" + name + "' twice");
    r.reads(name);
    it->second.read(c, r, pair.second);
    r.reads({});
  }
  for (const char* needed : {"name", "kind", "url"}) {
    if (!given.contains(needed)) r.fail(n, std::string(needed) + " is missing");
  }
  for (const auto& [name, key] : given) {
    if ((keys().at(name).kinds & bit(c.kind)) == 0)
      r.fail(key, name + " is no key of kind " + name_of(c.kind));
  }
  if (c.kind == Kind::webhook && !given.contains("format")) c.format = Format::json;
  if (c.topic.empty()) c.topic = default_topic(c.kind);
  if (c.plain_topic.empty()) c.plain_topic = default_plain_topic(c.kind);
  check_whole(r, n, c);
  return c;
}

}  // namespace

std::vector<UplinkConfig> parse_uplinks(const std::string& text, const std::string& path) {
  const Reader r(path);
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    throw std::runtime_error(path + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
  std::vector<UplinkConfig> all;
  if (!root.IsMap() || root.size() != 1 || !root["uplinks"])
    r.fail(root, "one key is expected, uplinks; [] says that there are none");
  const YAML::Node list = root["uplinks"];
  if (!list.IsSequence() || list.size() > session::kUplinksMax)
    r.fail(list, "a list of at most " + std::to_string(session::kUplinksMax) +
                     " uplinks; [] says that there are none");
  std::set<std::string> names;
  for (const YAML::Node& n : list) {
    all.push_back(read_one(r, n));
    if (!names.insert(all.back().name).second) r.fail(n, "two uplinks are " + all.back().name);
  }
  return all;
}

std::vector<UplinkConfig> read_uplinks(const std::string& path) {
  return parse_uplinks(base::read_file(path), path);
}

bool fit_into(std::vector<UplinkConfig>& all, std::uint64_t max_bytes) {
  double sum = 0;
  for (const UplinkConfig& c : all)
    sum += static_cast<double>(c.queue_bytes + (c.keep_hours == 0 ? 0 : c.keep_bytes));
  if (sum <= static_cast<double>(max_bytes)) return false;
  const auto cut = [&](std::uint64_t& bytes) {
    bytes = static_cast<std::uint64_t>(static_cast<double>(bytes) / sum *
                                       static_cast<double>(max_bytes));
  };
  for (UplinkConfig& c : all) {
    cut(c.queue_bytes);
    if (c.keep_hours != 0) cut(c.keep_bytes);
  }
  return true;
}

}  // namespace berth::gateway::uplink
