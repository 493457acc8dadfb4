// The topics of an uplink on both sides: what is selected at Berth, what the platform sees, and
// what stays in order. Plain functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/uplink/uplink_config.h"
#include "session/uplink_queue.h"

namespace berth::gateway::uplink {

// Of $tenant/TENANT/v1/SITE/DEVICE/REST; all empty of another topic. Views of it.
struct TopicParts {
  std::string_view tenant, site, device, rest;
};
TopicParts parts_of(std::string_view inside);
// event, telemetry, state, presence, result; of another one "other".
std::string_view what_of(const TopicParts& p);
// The part behind the device that it is about; empty: the device itself.
std::string_view child_of(const TopicParts& p);
// Of an event or of telemetry, "plate"; else the same as what_of().
std::string_view type_of(const TopicParts& p);

// Empty, if `c` selects nothing.
std::vector<std::string> filters_of(const UplinkConfig& c);
session::UplinkPlan plan_of(const UplinkConfig& c);

// The topic that the platform sees, of a topic as it is inside; empty: it can't have one
// (MQTT 1.5.4; of Kafka 249 of A-Z a-z 0-9 . _ -; of RabbitMQ 255 bytes).
std::string upstream_topic(const UplinkConfig& c, std::string_view inside);
// Of a kind, where the file says nothing.
const char* default_topic(Kind kind);
const char* default_plain_topic(Kind kind);

// The filter by which the platform's commands come (UplinkConfig::commands): `topic` with
// command/+/request/+ in place of {rest}. Empty: `topic` does not name tenant, site and device.
std::string command_filter(const UplinkConfig& c);
// The topic inside of what came by that filter; empty: it is for none of its tenants and sites.
std::string command_topic(const UplinkConfig& c, std::string_view topic);

// Messages with the same key stay in order. TENANT/v1/SITE/DEVICE; of a topic of no tenant the
// topic.
std::string_view order_key(std::string_view inside);

}  // namespace berth::gateway::uplink
