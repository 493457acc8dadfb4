// The file of uplinks (uplinks.file, docs/uplinks.md). Plain data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "session/uplinks.h"

namespace berth::gateway::uplink {

// What devices say and what the gateway says of them, by name; docs/uplinks.md has the topics.
inline constexpr const char* kSelections[] = {"event", "telemetry", "state", "presence", "result"};

struct UplinkConfig {
  std::string name;
  std::string url;  // mqtt://HOST[:PORT], mqtts://HOST[:PORT]
  std::vector<std::string> select{std::begin(kSelections), std::end(kSelections)};
  std::vector<std::string> tenants;  // none: all
  std::vector<std::string> sites;    // none: all
  std::vector<std::string> topics;   // filters of topics that belong to no tenant
  std::string topic = "berth/v1/{tenant}/{site}/{device}/{rest}";
  std::string plain_topic = "berth/{topic}";  // of a topic that belongs to no tenant
  std::uint32_t version = 5;                  // of MQTT: 5, or 4 for 3.1.1
  std::string client_id = "berth";            // the partition and connection follow
  std::string user_name;
  std::string password_file;
  std::string ca_file;  // mqtts; empty: the system's authorities
  std::string cert_file;
  std::string key_file;
  std::uint32_t connections = 1;
  std::uint32_t queue_messages = 1'000'000;
  std::uint64_t queue_bytes = std::uint64_t{1} << 30;
  bool operator==(const UplinkConfig&) const = default;
};

// Throws std::runtime_error "PATH:LINE: WHY". Reads by base::read_file().
std::vector<UplinkConfig> read_uplinks(const std::string& path);
// The same of a text; `path` is for errors.
std::vector<UplinkConfig> parse_uplinks(const std::string& text, const std::string& path);

// Cuts their queue_bytes, each by the same share, if these are more than `max_bytes` together.
// Returns true if it did.
bool fit_into(std::vector<UplinkConfig>& all, std::uint64_t max_bytes);

// Empty, if `c` selects nothing.
std::vector<std::string> filters_of(const UplinkConfig& c);
session::UplinkPlan plan_of(const UplinkConfig& c);

// The topic that the platform sees, of a topic as it is inside.
std::string upstream_topic(const UplinkConfig& c, std::string_view inside);
// Messages with the same key stay in order. TENANT/v1/SITE/DEVICE; of a topic of no tenant the
// topic.
std::string_view order_key(std::string_view inside);

}  // namespace berth::gateway::uplink
