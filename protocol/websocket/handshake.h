// The opening handshake of RFC 6455 section 4.2 for MQTT.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::protocol::websocket {

struct Handshake {
  enum class Outcome : std::uint8_t {
    accepted,
    bad_request,
    not_found,
    forbidden,
    upgrade_required
  };
  Outcome outcome = Outcome::bad_request;
  std::string response;  // if accepted: the whole 101
};
// `request`: with its empty line. `path`: what is served; a query behind it is ignored. `origins`:
// of pages that may connect, "https://app.example, …", "*" for all. A request without Origin is no
// page's. Nor is one that names the host it connects to as its origin and has no User-Agent, which
// no page can leave out: some MQTT libraries do so.
Handshake parse_request(std::string_view request, std::string_view path,
                        std::string_view origins = {});

}  // namespace berth::protocol::websocket
