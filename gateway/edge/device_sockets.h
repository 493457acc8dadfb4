// The sockets of devices, with what lies between them and the device's protocol: TLS, a PROXY
// header, a WebSocket (layers.h). What is counted, kept and replayed is the protocol's bytes;
// nothing here outlives the socket, and engines know nothing of it. A room of the edge; the shard's
// thread.
//
// Limits: a WebSocket's unread answers 256 KiB (closed); sockets of ended connections as in
// lingering.h.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "gateway/edge/arrivals.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/followers.h"
#include "gateway/edge/lingering.h"

namespace berth::gateway::edge {

class DeviceSockets final : private EdgeRoom {
 public:
  DeviceSockets(EdgeContext& cx, Arrivals& arrivals, Followers& followers)
      : EdgeRoom(cx),
        arrivals_(arrivals),
        followers_(followers),
        lingering_(io_, options_.lingering_max) {}

  void start() { lingering_.start(); }
  void stop() { lingering_.stop(); }
  void tick() { lingering_.tick(); }  // every second
  // What was said last on ended connections has been taken, or is not waited for any more.
  bool all_taken() const { return lingering_.empty(); }

  // Bytes of the device's protocol. As recv() and send(): bytes, 0 at the end of the stream, or -1
  // with errno; EAGAIN also where `c` has been ended.
  ssize_t receive(Connection& c, std::uint8_t* to, std::size_t room);
  ssize_t transmit(Connection& c, const char* from, std::size_t size);
  // What a WebSocket has encoded. True: all has been taken. False: with errno.
  // REQUIRES: c.layers.
  bool flush_wire(Connection& c);
  // Bytes that the socket's kernel has taken of us so far, TLS and WebSocket included, from some
  // number on. REQUIRES: c.fd >= 0.
  static std::uint64_t handed(const Connection& c);
  static bool handshaking(const Connection& c);
  // `reset`: nothing more is said, and what the kernel still has is thrown away (RST).
  // REQUIRES: c.fd >= 0; c.reason says why it is closed.
  void close_socket(Connection& c, bool reset);

 private:
  ssize_t receive_stream(Connection& c, std::uint8_t* to, std::size_t room);
  ssize_t transmit_stream(Connection& c, const char* from, std::size_t size);
  void want_tls_write(Connection& c, bool want);
  bool should_linger(const Connection& c) const;

  // device_socket_layers.cc
  ssize_t receive_layered(Connection& c, std::uint8_t* to, std::size_t room);
  bool take_proxy_header(Connection& c);
  void say_goodbye(Connection& c);

  Arrivals& arrivals_;
  Followers& followers_;
  Lingering lingering_;
};

}  // namespace berth::gateway::edge
