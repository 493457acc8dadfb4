// The file of uplinks (uplinks.file, docs/uplinks.md). Plain data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/uplink/url.h"

namespace berth::gateway::uplink {

// What devices say and what the gateway says of them, by name; docs/uplinks.md has the topics.
inline constexpr const char* kSelections[] = {"event", "telemetry", "state", "presence", "result"};

// Of Envelopes: as services of the tenant get them, or one for all tenants.
enum class Format : std::uint8_t { tenant, protobuf, json };

struct UplinkConfig {
  std::string name;
  Kind kind = Kind::mqtt;
  std::string url;
  Url where() const { return url_of(kind, url); }
  std::vector<std::string> select{std::begin(kSelections), std::end(kSelections)};
  std::vector<std::string> tenants;  // none: all
  std::vector<std::string> sites;    // none: all
  std::vector<std::string> topics;   // filters of topics that belong to no tenant
  std::string topic;                 // MQTT's and a webhook's topic, Kafka's topic, routing key
  std::string plain_topic;           // of a topic that belongs to no tenant
  Format format = Format::tenant;
  std::string user_name;
  std::string password_file;
  std::string ca_file;  // with TLS; empty: the system's authorities
  std::string cert_file;
  std::string key_file;
  std::uint32_t connections = 1;
  std::uint32_t queue_messages = 1'000'000;
  std::uint64_t queue_bytes = std::uint64_t{1} << 30;
  std::uint32_t keep_hours = 0;  // what was sent, for a replay
  std::uint64_t keep_bytes = std::uint64_t{1} << 30;
  std::uint32_t dead_letters = 1000;
  // MQTT
  std::uint32_t version = 5;        // 5, or 4 for 3.1.1
  bool commands = false;            // the platform may ask for some
  std::string client_id = "berth";  // the partition and connection follow
  // Kafka: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; empty: none. RabbitMQ: EXTERNAL, PLAIN; empty:
  // PLAIN
  std::string sasl;
  // Kafka
  std::string compression = "lz4";
  // RabbitMQ
  std::string exchange = "berth";
  bool declare = true;  // makes the exchange if there is none
  // webhook
  std::string secret_file;  // of the signature
  std::string token_file;   // a bearer token
  std::uint32_t batch_messages = 100;
  std::uint32_t timeout_s = 15;  // of a request
  // Of one that was defined over REST, where its files are: definition.h.
  std::string files_dir;
  bool operator==(const UplinkConfig&) const = default;
};

// Throws std::runtime_error "PATH:LINE: WHY". Reads by base::read_file().
std::vector<UplinkConfig> read_uplinks(const std::string& path);
// The same of a text; `path` is for errors.
std::vector<UplinkConfig> parse_uplinks(const std::string& text, const std::string& path);

// Cuts their queue_bytes, and keep_bytes where something is kept, each by the same share, if these
// are more than `max_bytes` together. Returns true if it did.
bool fit_into(std::vector<UplinkConfig>& all, std::uint64_t max_bytes);

}  // namespace berth::gateway::uplink
