#include "gateway/uplink/facts.h"

#include <google/protobuf/util/time_util.h>

#include <boost/json.hpp>

#include "base/bytes.h"
#include "gateway/uplink/uplink_topics.h"
#include "protocol/messages/envelope.h"
#include "protocol/messages/schema.h"
#include "protocol/mqtt/properties.h"

namespace berth::gateway::uplink {

namespace json = boost::json;
namespace wire = protocol::messages;

namespace {

constexpr std::uint32_t kReceivedTime = 8;  // its field in an Envelope

std::int64_t time_of_json(const std::string& text) {
  using google::protobuf::util::TimeUtil;
  google::protobuf::Timestamp t;
  return TimeUtil::FromString(text, &t) ? TimeUtil::TimestampToMilliseconds(t) : 0;
}

// google.protobuf.Timestamp.
std::int64_t ms_of(std::string_view timestamp) {
  std::int64_t ms = 0;
  wire::Fields fields(timestamp);
  for (wire::Field f; fields.next(f);) {
    if (f.number == 1) ms += static_cast<std::int64_t>(f.value) * 1000;
    if (f.number == 2) ms += static_cast<std::int64_t>(f.value) / 1'000'000;
  }
  return ms;
}

void read_protobuf(std::string_view payload, Facts& f) {
  wire::EnvelopeView e;
  if (!wire::read_envelope(payload, e)) {
    f.body = Body::other;
    return;
  }
  f.event_id = e.event_id;
  f.traceparent = e.traceparent;
  f.event_time_ms = e.has_time ? e.event_time_ms : 0;
  wire::Fields fields(payload);
  for (wire::Field field; fields.next(field);) {
    if (field.number == kReceivedTime) f.received_time_ms = ms_of(field.bytes);
  }
}

void read_json(const std::string& payload, Facts& f) {
  json::error_code ec;
  const json::value v = json::parse(payload, ec);
  if (ec || !v.is_object()) {
    f.body = Body::other;
    return;
  }
  const auto text = [&v](const char* name) -> std::string {
    const json::value* const t = v.get_object().if_contains(name);
    return t != nullptr && t->is_string() ? std::string(t->get_string()) : std::string();
  };
  f.event_id = text("eventId");
  f.traceparent = text("traceparent");
  f.event_time_ms = time_of_json(text("eventTime"));
  f.received_time_ms = time_of_json(text("receivedTime"));
}

}  // namespace

std::string content_type_of(std::string_view properties) {
  // The gateway's own are one property; a publisher's come in the order of protocol/mqtt.
  constexpr auto kContentType = static_cast<char>(protocol::mqtt::Property::content_type);
  constexpr auto kFormat = static_cast<char>(protocol::mqtt::Property::payload_format);
  while (!properties.empty()) {
    const char p = properties.front();
    if (p == kFormat && properties.size() >= 2) {
      properties.remove_prefix(2);
      continue;
    }
    if (p != kContentType || properties.size() < 3) return {};
    const std::size_t n =
        static_cast<std::uint8_t>(properties[1]) << 8 | static_cast<std::uint8_t>(properties[2]);
    return std::string(properties.substr(3, n));
  }
  return {};
}

Body body_of(std::string_view content_type) {
  if (!content_type.ends_with(";msg=berth.v1.Envelope")) return Body::other;
  return content_type.starts_with("application/json") ? Body::json : Body::protobuf;
}

Facts facts_of(const Upward& m) {
  Facts f;
  const TopicParts p = parts_of(m.inside);
  f.tenant = p.tenant;
  f.site = p.site;
  f.device = p.device;
  f.child = child_of(p);
  f.what = what_of(p);
  f.type = type_of(p);
  f.content_type = content_type_of(m.properties);
  f.body = body_of(f.content_type);
  if (f.body == Body::protobuf) read_protobuf(m.payload, f);
  if (f.body == Body::json) read_json(m.payload, f);
  return f;
}

std::vector<std::pair<const char*, std::string>> headers_of(const Facts& f, const Upward& m) {
  std::vector<std::pair<const char*, std::string>> all;
  all.reserve(13);
  const auto add = [&all](const char* name, const std::string& value) {
    if (!value.empty()) all.emplace_back(name, value);
  };
  add("berth-id", m.id);
  add("tenant", f.tenant);
  add("site", f.site);
  add("device", f.device);
  add("child", f.child);
  add("what", f.what);
  add("type", f.type);
  add("event_id", f.event_id);
  if (f.event_time_ms != 0) add("event_time", std::to_string(f.event_time_ms));
  if (f.received_time_ms != 0) add("received_time", std::to_string(f.received_time_ms));
  if (m.replay) add("replay", "true");
  add("content-type", f.content_type);
  add("traceparent", f.traceparent);
  return all;
}

}  // namespace berth::gateway::uplink
