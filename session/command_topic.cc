#include "session/command_topic.h"

#include "protocol/park/control.h"
#include "session/scope.h"

namespace berth::session {

namespace park = protocol::park;

namespace {

constexpr std::string_view kNative = "v1/";

std::string_view take_level(std::string_view& topic) {
  const std::size_t end = topic.find('/');
  const std::string_view level = topic.substr(0, end);
  topic.remove_prefix(end == std::string_view::npos ? topic.size() : end + 1);
  return level;
}

// The first level of what stands behind the device, or behind its child.
std::string_view kind_of(std::string_view after_device) {
  std::string_view first = take_level(after_device);
  if (first != "sub") return first;
  take_level(after_device);
  return take_level(after_device);
}

bool is_one_level(std::string_view s) {
  return !s.empty() && s.find('/') == std::string_view::npos;
}

}  // namespace

bool parse_command_topic(std::string_view topic, CommandTopic& out) {
  std::string_view first = take_level(topic);
  if (first == "sub") {
    out.child = take_level(topic);
    first = take_level(topic);
  }
  out.desired = first == "desired" && topic.empty();
  if (out.desired) return true;
  if (first != "cmd") return false;
  out.id = take_level(topic);
  if (take_level(topic) != "req") return false;
  out.name = topic;
  return topic.find('/') == std::string_view::npos;
}

Unanswerable unanswerable(std::string_view topic, bool retained) {
  if (!topic.starts_with(kNative)) return {};
  topic.remove_prefix(kNative.size());
  take_level(topic);
  const std::string_view device = take_level(topic);
  if (retained && (kind_of(topic) == "cmd" || is_command_request(topic)))
    return {kRetainedCommand, device};
  CommandTopic c;
  if (!topic.starts_with("cmd/") && !topic.starts_with("sub/")) return {};
  const bool of_child = topic.starts_with("sub/");
  if (!parse_command_topic(topic, c) || c.desired) return {};
  if (of_child && !park::is_name(c.child)) return {park::kBadChild, device};
  if (!park::is_name(c.id)) return {park::kBadCommandId, device};
  return {};
}

bool is_devices_downlink(std::string_view topic) {
  if (!topic.starts_with(kNative)) return false;
  topic.remove_prefix(kNative.size());
  take_level(topic);
  take_level(topic);
  const std::string_view first = take_level(topic);
  return first == "cmd" || first == "sub" || first == "desired";
}

bool is_devices_command(std::string_view topic) {
  if (!topic.starts_with(kNative)) return false;
  topic.remove_prefix(kNative.size());
  take_level(topic);
  take_level(topic);
  return kind_of(topic) == "cmd";
}

bool is_own_command(std::string_view topic) {
  if (!topic.starts_with(kNative) || is_report_topic(topic)) return false;
  return kind_of(topic.substr(kNative.size())) == "cmd";
}

bool is_own_desired(std::string_view topic) {
  return topic.starts_with(kNative) && kind_of(topic.substr(kNative.size())) == "desired";
}

bool is_device_request(std::string_view topic) {
  if (!topic.starts_with(kNative)) return false;
  topic.remove_prefix(kNative.size());
  take_level(topic);
  take_level(topic);
  CommandTopic c;
  return parse_command_topic(topic, c) && !c.desired && !c.name.empty();
}

std::string_view device_of_request(std::string_view topic) {
  for (int level = 0; level < 2; ++level) take_level(topic);
  return take_level(topic);
}

bool is_report_topic(std::string_view topic) {
  if (!topic.starts_with(kNative)) return false;
  topic.remove_prefix(kNative.size());
  if (topic.starts_with("sub/")) {
    take_level(topic);
    take_level(topic);
  }
  if (topic.starts_with("event/")) return is_one_level(topic.substr(6));
  if (topic.starts_with("telemetry/")) return is_one_level(topic.substr(10));
  if (topic == "state") return true;
  if (!topic.starts_with("cmd/")) return false;
  topic.remove_prefix(4);
  return !take_level(topic).empty() && topic == "res";
}

}  // namespace berth::session
