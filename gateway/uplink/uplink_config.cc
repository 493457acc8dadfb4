#include "gateway/uplink/uplink_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/read_file.h"
#include "protocol/mqtt/topic.h"
#include "session/scope.h"

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
  const bool mqtt = url.starts_with("mqtt://") && url.size() > 7;
  const bool mqtts = url.starts_with("mqtts://") && url.size() > 8;
  if (!mqtt && !mqtts) r.fail(n, "mqtt://HOST:PORT or mqtts://HOST:PORT");
  if (url.find('@') != std::string::npos)
    r.fail(n, "no password in a url: user_name and password_file");
  return url;
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

using Field = std::function<void(UplinkConfig&, const Reader&, const YAML::Node&)>;

const std::map<std::string, Field>& fields() {
  using C = UplinkConfig;
  using R = Reader;
  using N = YAML::Node;
  static const auto text = [](std::string C::*field) -> Field {
    return [field](C& c, const R& r, const N& n) { c.*field = r.text(n); };
  };
  static const std::map<std::string, Field> kAll{
      {"name", [](C& c, const R& r, const N& n) { c.name = read_name(r, n); }},
      {"kind",
       [](C&, const R& r, const N& n) {
         if (r.text(n) != "mqtt") r.fail(n, "mqtt");
       }},
      {"url", [](C& c, const R& r, const N& n) { c.url = read_url(r, n); }},
      {"select", [](C& c, const R& r, const N& n) { c.select = read_selections(r, n); }},
      {"tenants", [](C& c, const R& r, const N& n) { c.tenants = read_names(r, n); }},
      {"sites", [](C& c, const R& r, const N& n) { c.sites = read_names(r, n); }},
      {"topics", [](C& c, const R& r, const N& n) { c.topics = read_filters(r, n); }},
      {"topic",
       [](C& c, const R& r, const N& n) {
         c.topic = read_topic(r, n, {"{tenant}", "{site}", "{device}", "{rest}"});
       }},
      {"plain_topic",
       [](C& c, const R& r, const N& n) { c.plain_topic = read_topic(r, n, {"{topic}"}); }},
      {"version", [](C& c, const R& r,
                     const N& n) { c.version = static_cast<std::uint32_t>(r.number(n, 4, 5)); }},
      {"client_id", [](C& c, const R& r, const N& n) { c.client_id = read_name(r, n); }},
      {"user_name", text(&C::user_name)},
      {"password_file", text(&C::password_file)},
      {"ca_file", text(&C::ca_file)},
      {"cert_file", text(&C::cert_file)},
      {"key_file", text(&C::key_file)},
      {"connections",
       [](C& c, const R& r, const N& n) {
         c.connections = static_cast<std::uint32_t>(r.number(n, 1, kConnectionsMax));
       }},
      {"queue_messages",
       [](C& c, const R& r, const N& n) {
         c.queue_messages = static_cast<std::uint32_t>(r.number(n, 1000, 100'000'000));
       }},
      {"queue_bytes", [](C& c, const R& r, const N& n) {
         c.queue_bytes = r.number(n, 1 << 20, std::uint64_t{1} << 44);
       }}};
  return kAll;
}

UplinkConfig read_one(const Reader& r, const YAML::Node& n) {
  if (!n.IsMap()) r.fail(n, "an uplink is a map");
  UplinkConfig c;
  std::set<std::string> given;
  for (const auto& pair : n) {
    const YAML::Node& key = pair.first;
    const std::string name = r.text(key);
    const auto it = fields().find(name);
    if (it == fields().end()) r.fail(key, "unknown key '" + name + "'");
    if (!given.insert(name).second) r.fail(key, "key '" + name + "' twice");
    r.reads(name);
    it->second(c, r, pair.second);
    r.reads({});
  }
  for (const char* needed : {"name", "kind", "url"}) {
    if (!given.contains(needed)) r.fail(n, std::string(needed) + " is missing");
  }
  if (c.cert_file.empty() != c.key_file.empty()) r.fail(n, "cert_file and key_file go together");
  if (c.url.starts_with("mqtt://") && !(c.ca_file + c.cert_file).empty())
    r.fail(n, "ca_file and cert_file are of mqtts://");
  if (filters_of(c).empty()) r.fail(n, "it selects nothing");
  return c;
}

// What stands between two slashes, and what is behind.
std::string_view next_level(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view level = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return level;
}

struct Parts {
  std::string_view tenant, site, device, rest;  // of $tenant/TENANT/v1/SITE/DEVICE/REST
};

Parts parts_of(std::string_view inside) {
  Parts p;
  if (!inside.starts_with(session::kTenantRoot)) return p;
  std::string_view rest = inside.substr(session::kTenantRoot.size());
  p.tenant = next_level(rest);
  const std::string_view root = next_level(rest);
  if (root != "v1") return {};
  p.site = next_level(rest);
  p.device = next_level(rest);
  p.rest = rest;
  return p;
}

std::string filled(std::string text,
                   const std::vector<std::pair<std::string_view, std::string_view>>& places) {
  std::string out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto at = std::find_if(places.begin(), places.end(),
                                 [rest](const auto& p) { return rest.starts_with(p.first); });
    if (at == places.end()) {
      out.push_back(rest.front());
      rest.remove_prefix(1);
    } else {
      out.append(at->second);
      rest.remove_prefix(at->first.size());
    }
  }
  return out;
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
  for (const UplinkConfig& c : all) sum += static_cast<double>(c.queue_bytes);
  if (sum <= static_cast<double>(max_bytes)) return false;
  for (UplinkConfig& c : all)
    c.queue_bytes = static_cast<std::uint64_t>(static_cast<double>(c.queue_bytes) / sum *
                                               static_cast<double>(max_bytes));
  return true;
}

std::vector<std::string> filters_of(const UplinkConfig& c) {
  const auto below_of = [](const std::string& what) -> std::vector<std::string> {
    if (what == "state") return {"state", "sub/+/state"};
    if (what == "presence") return {"presence"};
    if (what == "result") return {"cmd/+/res", "sub/+/cmd/+/res", "command/+/result"};
    const std::string types = what.find('/') == std::string::npos ? what + "/#" : what;
    return {types, "sub/+/" + types};
  };
  const auto or_all = [](const std::vector<std::string>& list) {
    return list.empty() ? std::vector<std::string>{"+"} : list;
  };
  std::vector<std::string> out = c.topics;
  for (const std::string& tenant : or_all(c.tenants)) {
    for (const std::string& site : or_all(c.sites)) {
      for (const std::string& what : c.select) {
        for (const std::string& below : below_of(what))
          out.push_back(std::string(session::kTenantRoot) + tenant + "/v1/" + site + "/+/" + below);
      }
    }
  }
  return out;
}

session::UplinkPlan plan_of(const UplinkConfig& c) {
  session::UplinkPlan p;
  p.name = c.name;
  p.filters = filters_of(c);
  p.queue_messages = c.queue_messages;
  p.queue_bytes = c.queue_bytes;
  return p;
}

std::string upstream_topic(const UplinkConfig& c, std::string_view inside) {
  const Parts p = parts_of(inside);
  if (p.tenant.empty()) return filled(c.plain_topic, {{"{topic}", inside}});
  return filled(
      c.topic,
      {{"{tenant}", p.tenant}, {"{site}", p.site}, {"{device}", p.device}, {"{rest}", p.rest}});
}

std::string_view order_key(std::string_view inside) {
  const Parts p = parts_of(inside);
  if (p.tenant.empty()) return inside;
  return {p.tenant.data(),
          static_cast<std::size_t>(p.device.data() + p.device.size() - p.tenant.data())};
}

}  // namespace berth::gateway::uplink
