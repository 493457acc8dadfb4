// The url of an uplink: SCHEME://HOST[:PORT][/PATH]; of Kafka HOST[:PORT],HOST[:PORT],... Plain
// data; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace berth::gateway::uplink {

enum class Kind : std::uint8_t { mqtt, kafka, rabbitmq, webhook };
const char* name_of(Kind kind);

struct Url {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;
  std::string path;   // from its slash on; empty: there is none
  std::string hosts;  // of Kafka: all, each with its port
  std::string authority() const;
};
// Throws std::invalid_argument with what would be right.
Url url_of(Kind kind, const std::string& text);

}  // namespace berth::gateway::uplink
