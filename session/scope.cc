#include "session/scope.h"

#include <algorithm>

#include "protocol/mqtt/topic.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;

namespace {

constexpr std::string_view kNativeTopics = "v1/";  // a device's own topics
constexpr std::size_t kTopicMax = 65535;           // as MQTT's strings

bool fits(const std::string& inside) {
  return inside.size() <= kTopicMax &&
         static_cast<std::size_t>(std::count(inside.begin(), inside.end(), '/')) <
             mqtt::kTopicLevelsMax;
}

std::string_view next_level(std::string_view& topic) {
  const std::size_t end = std::min(topic.find('/'), topic.size());
  const std::string_view level = topic.substr(0, end);
  topic.remove_prefix(std::min(end + 1, topic.size()));
  return level;
}

// A device's own first levels that mean something (docs/messages.md).
bool is_kind(std::string_view level) {
  switch (level.size()) {
    case 3:
      return level == "cmd" || level == "sub";
    case 5:
      return level == "event" || level == "state";
    case 7:
      return level == "desired";
    case 9:
      return level == "telemetry";
    default:
      return false;
  }
}

// Behind v1/SITE/DEVICE/ the gateway says what became of commands, on command/ID/result, and if
// the device is there, on presence. Nobody else publishes there, but a service its request.
bool is_of_gateway(std::string_view after_device) {
  std::string_view rest = after_device;
  const std::string_view kind = next_level(rest);
  return kind == "command" || kind == "presence";
}

bool services_may_publish(std::string_view topic) {
  if (!topic.starts_with(kNativeTopics)) return true;
  topic.remove_prefix(kNativeTopics.size());
  next_level(topic);
  next_level(topic);
  return !is_of_gateway(topic) || is_command_request(topic);
}

bool enter(const std::string& root, std::string_view rest, std::string& inside) {
  inside.assign(root).append(rest);
  return fits(inside);
}

}  // namespace

std::string Principal::key() const {
  std::string k = tenant;
  k.push_back('\0');
  k.push_back(static_cast<char>('0' + static_cast<int>(role)));
  k.append(name).push_back('\0');
  return k;
}

Scope::Scope(Principal who, std::string site, std::vector<std::string> allowed,
             Translation translation)
    : who_(std::move(who)),
      site_(std::move(site)),
      allowed_(std::move(allowed)),
      translation_(std::move(translation)),
      translates_(translation_ != Translation{}) {
  tenant_root_ = std::string(kTenantRoot) + who_.tenant + "/";
  if (who_.role == Role::device)
    own_ = tenant_root_ + std::string(kNativeTopics) + site_ + "/" + who_.name + "/";
}

bool Scope::of_its_sites(std::string_view topic) const {
  if (allowed_.empty()) return true;
  if (!topic.starts_with(kNativeTopics)) return false;
  topic.remove_prefix(kNativeTopics.size());
  return std::any_of(allowed_.begin(), allowed_.end(), [topic](const std::string& site) {
    return topic.size() > site.size() && topic.starts_with(site) && topic[site.size()] == '/';
  });
}

// v1/SITE/DEVICE of itself, with or without more, or v1/SITE/DEVICE/KIND of any site and device.
bool Scope::is_services_form(std::string_view after_v1) const {
  std::string_view rest = after_v1;
  const std::string_view first = next_level(rest);
  if (is_kind(first) || first.find('+') != std::string_view::npos) return false;
  const std::string_view second = next_level(rest);
  return (first == site_ && second == who_.name) || is_kind(next_level(rest));
}

bool Scope::enter_topic(std::string_view topic, std::string& inside) const {
  if (topic.starts_with('$') || who_.role == Role::operator_) return false;
  if (who_.role == Role::service)
    return of_its_sites(topic) && services_may_publish(topic) && enter(tenant_root_, topic, inside);
  if (topic.starts_with(kNativeTopics)) {
    topic.remove_prefix(kNativeTopics.size());
    return !topic.empty() && !is_services_form(topic) && !is_of_gateway(topic) &&
           enter(own_, topic, inside);
  }
  const bool good = std::any_of(
      allowed_.begin(), allowed_.end(),
      [topic](const std::string& filter) { return mqtt::filter_matches(filter, topic); });
  return good && enter(tenant_root_, topic, inside);
}

bool Scope::enter_filter(std::string_view filter, std::string& inside) const {
  if (filter.starts_with('$')) return false;
  if (who_.role != Role::device) return of_its_sites(filter) && enter(tenant_root_, filter, inside);
  if (filter.starts_with(kNativeTopics)) {
    filter.remove_prefix(kNativeTopics.size());
    return !filter.empty() && !is_services_form(filter) && enter(own_, filter, inside);
  }
  const bool good = std::any_of(
      allowed_.begin(), allowed_.end(),
      [filter](const std::string& allowed) { return mqtt::filter_covers(allowed, filter); });
  return good && enter(tenant_root_, filter, inside);
}

std::string_view Scope::leave(std::string_view inside, std::string& scratch) const {
  if (!own_.empty() && inside.starts_with(own_)) {
    scratch.assign(kNativeTopics).append(inside.substr(own_.size()));
    return scratch;
  }
  if (inside.starts_with(tenant_root_)) inside.remove_prefix(tenant_root_.size());
  return inside;
}

std::string_view site_of_topic(std::string_view inside) {
  if (!inside.starts_with(kTenantRoot)) return {};
  inside.remove_prefix(kTenantRoot.size());
  next_level(inside);
  return next_level(inside) == "v1" ? next_level(inside) : std::string_view();
}

bool is_command_request(std::string_view after_device) {
  std::string_view rest = after_device;
  if (next_level(rest) != "command") return false;
  const std::string_view id = next_level(rest);
  return !id.empty() && next_level(rest) == "request" && !rest.empty() &&
         rest.find('/') == std::string_view::npos;
}

bool is_command(std::string_view topic) {
  if (!topic.starts_with("v1/")) return false;
  std::size_t at = 3;
  for (int skipped = 0; skipped < 2; ++skipped) {
    at = topic.find('/', at);
    if (at == std::string_view::npos) return false;
    ++at;
  }
  return topic.substr(at).starts_with("cmd/") || is_command_request(topic.substr(at));
}

}  // namespace berth::session
