// The transports by which devices connect to an edge, and the options of a listener. Values only;
// any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gateway/edge/tls_server.h"

namespace berth::gateway::edge {

// Numbers are in a handover: append only.
enum class Transport : std::uint8_t { mqtt = 0, mqtts = 1, ws = 2, wss = 3, park = 4, parks = 5 };
inline constexpr std::array kTransports{Transport::mqtt, Transport::mqtts, Transport::ws,
                                        Transport::wss,  Transport::park,  Transport::parks};
constexpr bool has_tls(Transport t) {
  return t == Transport::mqtts || t == Transport::wss || t == Transport::parks;
}
constexpr bool has_websocket(Transport t) {
  return t == Transport::ws || t == Transport::wss;
}
constexpr bool speaks_park(Transport t) {
  return t == Transport::park || t == Transport::parks;
}
constexpr const char* name_of(Transport t) {
  constexpr const char* kNames[] = {"mqtt", "mqtts", "ws", "wss", "park", "parks"};
  return kNames[static_cast<std::size_t>(t)];
}
constexpr std::size_t index_of(Transport t) {
  return static_cast<std::size_t>(t);
}

struct ListenerOptions {
  const TlsServer* tls = nullptr;     // REQUIRES: not null if has_tls(); outlives the edge
  bool proxy_protocol = false;        // every connection begins with a PROXY header
  std::uint32_t max_connections = 0;  // of this listener; 0: only the edge's limit
};

}  // namespace berth::gateway::edge
