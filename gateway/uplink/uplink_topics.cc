#include "gateway/uplink/uplink_topics.h"

#include <algorithm>
#include <utility>

#include "session/scope.h"

namespace berth::gateway::uplink {
namespace {

constexpr std::size_t kMqttTopicMax = 65'535;  // bytes, MQTT 1.5.4
constexpr std::size_t kKafkaTopicMax = 249;
constexpr std::size_t kRoutingKeyMax = 255;
constexpr std::int64_t kHour_ms = 3'600'000;

// What stands between two slashes, and what is behind.
std::string_view next_level(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view level = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return level;
}

// What a device says, or a part behind it.
std::string_view below_part(std::string_view rest) {
  if (!rest.starts_with("sub/")) return rest;
  next_level(rest);
  next_level(rest);
  return rest;
}

std::string filled(std::string_view rest,
                   const std::vector<std::pair<std::string_view, std::string_view>>& places) {
  std::string out;
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

// A value as one word of a routing key: a device chooses its types, and must not choose the words
// behind them.
std::string word_of(std::string_view value) {
  std::string w(value);
  for (char& c : w) {
    if (c == '.' || c == '/' || c == '*' || c == '#' || c == ' ') c = '_';
  }
  return w;
}

// A broker may end the connection for them (MQTT 1.5.4).
bool has_control(const std::string& t) {
  for (std::size_t i = 0; i < t.size(); ++i) {
    const auto c = static_cast<unsigned char>(t[i]);
    const bool c1 = c == 0xc2 && i + 1 < t.size() && static_cast<unsigned char>(t[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || c1) return true;
  }
  return false;
}

bool is_kafka_topic(const std::string& t) {
  return t.size() <= kKafkaTopicMax && t != "." && t != ".." &&
         std::all_of(t.begin(), t.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

TopicParts parts_of(std::string_view inside) {
  TopicParts p;
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

std::string_view what_of(const TopicParts& p) {
  std::string_view rest = below_part(p.rest);
  const std::string_view first = next_level(rest);
  if (first == "cmd" || first == "command") return "result";
  for (const char* known : kSelections) {
    if (first == known) return known;
  }
  return "other";
}

std::string_view child_of(const TopicParts& p) {
  std::string_view rest = p.rest;
  if (next_level(rest) != "sub") return {};
  return next_level(rest);
}

std::string_view type_of(const TopicParts& p) {
  std::string_view rest = below_part(p.rest);
  const std::string_view first = next_level(rest);
  return (first == "event" || first == "telemetry") && !rest.empty() ? rest : what_of(p);
}

const char* default_topic(Kind kind) {
  if (kind == Kind::kafka) return "berth.{what}";
  if (kind == Kind::rabbitmq) return "{what}.{type}.{tenant}.{site}.{device}";
  return "berth/v1/{tenant}/{site}/{device}/{rest}";
}

const char* default_plain_topic(Kind kind) {
  if (kind == Kind::kafka) return "berth.other";
  return kind == Kind::rabbitmq ? "other.{topic}" : "berth/{topic}";
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
  p.keep_ms = c.keep_hours * kHour_ms;
  p.keep_bytes = c.keep_bytes;
  p.dead_max = c.dead_letters;
  if (c.kind == Kind::kafka) {  // sends in batches: what is on its way is the rate
    p.window_messages = 4000;
    p.window_bytes = std::size_t{8} << 20;
  } else if (c.kind == Kind::rabbitmq) {
    p.window_messages = 1000 * c.connections;
  } else if (c.kind == Kind::webhook) {
    p.window_messages = std::max(500u, 2 * c.batch_messages * c.connections);
  }
  return p;
}

std::string upstream_topic(const UplinkConfig& c, std::string_view inside) {
  const TopicParts p = parts_of(inside);
  const auto value = [&c](std::string_view v) {
    return c.kind == Kind::rabbitmq ? word_of(v) : std::string(v);
  };
  const std::string tenant = value(p.tenant), site = value(p.site), device = value(p.device),
                    type = value(type_of(p));
  std::string t = p.tenant.empty() ? filled(c.plain_topic, {{"{topic}", inside}})
                                   : filled(c.topic, {{"{tenant}", tenant},
                                                      {"{site}", site},
                                                      {"{device}", device},
                                                      {"{what}", what_of(p)},
                                                      {"{type}", type},
                                                      {"{rest}", p.rest}});
  if (c.kind == Kind::kafka || c.kind == Kind::rabbitmq) std::replace(t.begin(), t.end(), '/', '.');
  const bool good = c.kind == Kind::kafka      ? is_kafka_topic(t)
                    : c.kind == Kind::rabbitmq ? t.size() <= kRoutingKeyMax
                    : c.kind == Kind::mqtt     ? t.size() <= kMqttTopicMax && !has_control(t)
                                               : t.size() <= kMqttTopicMax;
  return good ? t : std::string();
}

std::string command_filter(const UplinkConfig& c) {
  std::string out;
  std::string_view rest = c.topic;
  int named = 0;
  while (!rest.empty()) {
    const std::string_view level = next_level(rest);
    const bool name = level == "{tenant}" || level == "{site}" || level == "{device}";
    named += name ? 1 : 0;
    if (level == "{rest}")
      return rest.empty() && named == 3 ? out + "command/+/request/+" : std::string();
    if (!name && level.find('{') != std::string_view::npos) return {};
    out.append(name ? "+" : level).push_back('/');
  }
  return {};
}

std::string command_topic(const UplinkConfig& c, std::string_view topic) {
  std::string_view form = c.topic, tenant, site, device;
  while (!form.empty()) {
    const std::string_view level = next_level(form);
    if (level == "{rest}") break;
    const std::string_view said = next_level(topic);
    if (level == "{tenant}") tenant = said;
    if (level == "{site}") site = said;
    if (level == "{device}") device = said;
  }
  const auto has = [](const std::vector<std::string>& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (!has(c.tenants, tenant) || (!c.sites.empty() && !has(c.sites, site)) || device.empty())
    return {};
  std::string inside(session::kTenantRoot);
  inside.append(tenant).append("/v1/").append(site).push_back('/');
  inside.append(device).push_back('/');
  return inside.append(topic);
}

std::string_view order_key(std::string_view inside) {
  const TopicParts p = parts_of(inside);
  if (p.tenant.empty()) return inside;
  return {p.tenant.data(),
          static_cast<std::size_t>(p.device.data() + p.device.size() - p.tenant.data())};
}

}  // namespace berth::gateway::uplink
