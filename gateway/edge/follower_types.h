// What a StreamFollower is told and what it says (stream_follower.h). Values; no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/types.h"

namespace berth::gateway::edge {

// Where devices are to go when this edge ends; empty: they are not told.
struct Elsewhere {
  std::string server_reference;  // of MQTT 5
  std::string park_endpoint;
};

// The connection, as far as its protocol needs it.
struct StreamFacts {
  bool tls = false;
  bool connected = false;    // has logged in
  std::uint8_t version = 0;  // of the protocol, once it has logged in
};

// Why the edge ends a connection.
struct Farewell {
  protocol::mqtt::Reason reason{};
  std::string_view text;                 // empty: as the reason says
  const Elsewhere& elsewhere;            // with Reason::server_shutting_down
  std::uint32_t come_back_after_ms = 0;  // likewise
};

// What is wrong with a stream's bytes.
struct StreamFault {
  std::string text;
  bool too_large = false;
};

// A stream's first packet.
enum class First : std::uint8_t {
  incomplete,
  login,      // CONNECT or HELLO
  too_large,  // a log-in of more than kLoginMax
  other
};
inline constexpr std::size_t kLoginMax = 64 * 1024;  // bytes of a CONNECT or HELLO

// Where in the stream a follower is, for another process of this host to go on (handover.cc).
struct FollowerPlace {
  protocol::mqtt::Walker::Place mqtt;
  std::string park;
};

}  // namespace berth::gateway::edge
