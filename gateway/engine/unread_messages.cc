#include "gateway/engine/unread_messages.h"

#include <algorithm>
#include <functional>

#include "base/log_event.h"

namespace berth::gateway::engine {

using base::LogKind;

namespace {

const LogKind kRaw{"message not understood", base::LogLevel::info, LogKind::Outcome::failure,
                   "engine", "raw"};
const LogKind kJson{"message not understood", base::LogLevel::info, LogKind::Outcome::failure,
                    "engine", "json"};

// A key of somebody's JSON. With a digit it may be a plate.
std::string shown(std::string_view key) {
  constexpr std::size_t kKeyMax = 40;
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const bool good =
      !key.empty() && key.size() <= kKeyMax && std::all_of(key.begin(), key.end(), plain);
  return good ? "'" + std::string(key) + "'" : "a name";
}

std::string wanted(std::string_view type) {
  if (const std::size_t slash = type.rfind('/'); slash != std::string_view::npos)
    type.remove_prefix(slash + 1);
  if (type == "google.protobuf.Timestamp") return "a time such as 2026-11-29T01:00:00Z is needed";
  constexpr std::string_view kOurs = "berth.v1.";
  constexpr std::string_view kPlain = "TYPE_";
  if (type.starts_with(kOurs)) type.remove_prefix(kOurs.size());
  if (type.starts_with(kPlain)) type.remove_prefix(kPlain.size());
  return "the value is no " + std::string(type);
}

}  // namespace

// "(plate.plate.color): invalid value "blue" for type type.googleapis.com/berth.v1.PlateColor",
// "(plate) lan: Cannot find field.", "plate: Proto field is not repeating, cannot start list."
std::string json_fault(std::string_view protobufs) {
  static constexpr std::string_view kInvalid = ": invalid value ";
  static constexpr std::string_view kType = " for type ";
  static constexpr std::string_view kUnknown = ": Cannot find field.";
  static constexpr std::string_view kNoList = ": Proto field is not repeating";
  std::string_view at;
  if (protobufs.starts_with('(')) {
    at = protobufs.substr(1, protobufs.find(')') - 1);
    protobufs.remove_prefix(std::min(at.size() + 2, protobufs.size()));
    if (protobufs.starts_with(' ')) protobufs.remove_prefix(1);
  }
  const std::string where = at.empty() ? std::string() : std::string(at) + ": ";
  if (protobufs.ends_with(kUnknown))
    return where + "unknown name " + shown(protobufs.substr(0, protobufs.rfind(kUnknown)));
  if (const std::size_t n = protobufs.find(kNoList); n != std::string_view::npos)
    return where + shown(protobufs.substr(0, n)) + " is no list";
  const std::size_t type = protobufs.rfind(kType);
  if (protobufs.starts_with(kInvalid) && type != std::string_view::npos) {
    const std::string_view name = protobufs.substr(type + kType.size());
    const std::string_view value = protobufs.substr(kInvalid.size());
    if (name == "oneof") return "it has two bodies";
    if (value.starts_with("Starting an object on a scalar"))
      return where + shown(name) + " is no object";
    return where + wanted(name);
  }
  return where + "it is no Envelope";
}

void UnreadMessages::say(const session::Scope& who, std::string_view topic, std::string_view why,
                         Body body, base::Instant now) {
  const session::Principal& p = who.who();
  const std::hash<std::string_view> hash;
  const std::uint64_t device = hash(p.name) * 31 + hash(p.tenant);
  const std::uint64_t what = (device * 31 + hash(topic)) * 31 + hash(why);
  Said& last = said_[device % said_.size()];
  if (last.what == what && now.ms >= last.at_ms && now.ms - last.at_ms < kAgain_ms) return;
  last = {what, now.ms};
  const LogKind& kind = body == Body::raw ? kRaw : kJson;
  if (!kind.wanted() || !kind.admits(device)) return;
  base::LogEvent(kind)
      .add("tenant", p.tenant)
      .add("site", who.site())
      .add("device", p.name)
      .add("topic", topic)
      .add("reason", why);
}

}  // namespace berth::gateway::engine
