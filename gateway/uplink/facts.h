// What a message says of itself, for protocols that carry it beside the payload: headers of Kafka
// and RabbitMQ, fields of a webhook. Plain functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/uplink/sink.h"

namespace berth::gateway::uplink {

enum class Body : std::uint8_t { other, protobuf, json };  // an Envelope (envelope.proto), or not

struct Facts {
  std::string tenant, site, device;  // empty: its topic belongs to no tenant
  std::string what;                  // event, telemetry, state, presence, result; or other
  std::string type;                  // of an event or of telemetry, "plate"; else as `what`
  std::string content_type;          // empty: not known
  std::string event_id;              // of an Envelope; else empty
  std::string child;                 // the part behind the device; empty: it is the device's own
  std::string traceparent;
  std::int64_t event_time_ms = 0;     // 0: not known
  std::int64_t received_time_ms = 0;  // 0: not known
  Body body = Body::other;
};
Facts facts_of(const Upward& m);

// MQTT 5's Content Type, of properties as encoded; empty: there is none.
std::string content_type_of(std::string_view properties);
Body body_of(std::string_view content_type);

// Those that are known, by their names in headers; with `berth_id` and "true" under `replay`.
std::vector<std::pair<const char*, std::string>> headers_of(const Facts& f, const Upward& m);

}  // namespace berth::gateway::uplink
