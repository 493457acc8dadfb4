// What lies between a connection's socket (or its TLS) and MQTT: a PROXY header at the beginning, a
// WebSocket. Only connections that have one of them have Layers. Owned by the Connection; the
// shard's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/websocket/websocket.h"

namespace berth::gateway::edge {

struct Layers {
  bool proxy = false;                                  // a PROXY header is due
  std::string proxy_header;                            // what has come of it
  std::unique_ptr<protocol::websocket::WebSocket> ws;  // null: none
  std::string wire;                                    // encoded, to be written, from wire_at
  std::size_t wire_at = 0;
  std::uint64_t handed = 0;    // bytes of `wire` that its socket, or TLS, has taken
  std::size_t frame_left = 0;  // of the frame that `wire` ends with, bytes to come

  std::size_t unsent() const { return wire.size() - wire_at; }
};

}  // namespace berth::gateway::edge
