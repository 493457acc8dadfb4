// PROXY headers and WebSockets, between a connection's stream and MQTT. What is counted, kept and
// replayed is MQTT; nothing here outlives the socket, and engines know nothing of it.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/give_back.h"
#include "gateway/edge/device_sockets.h"
#include "gateway/edge/edge_events.h"
#include "gateway/edge/ends.h"
#include "protocol/mqtt/framer.h"
#include "protocol/proxy/header.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::websocket::WebSocket;

namespace {
constexpr std::size_t kWireMax = 64 * 1024;     // encoded at a time
constexpr std::size_t kUnreadMax = 256 * 1024;  // more than what is encoded: answers to PINGs
constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kNormal = 1000;

// Of the MQTT packet that `out` begins with; the fixed header of one is always there whole.
std::size_t packet_size(std::string_view out) {
  protocol::mqtt::Frame f;
  protocol::mqtt::next_frame(base::as_bytes(out), SIZE_MAX, f);
  return f.size != 0 ? f.size : out.size();
}

}  // namespace

// MQTT bytes, like recv(): 0 at the end of the stream, or -1 with errno.
ssize_t DeviceSockets::receive(Connection& c, std::uint8_t* to, std::size_t room) {
  return c.layers == nullptr ? receive_stream(c, to, room) : receive_layered(c, to, room);
}

ssize_t DeviceSockets::receive_layered(Connection& c, std::uint8_t* to, std::size_t room) {
  if (c.layers->proxy && !take_proxy_header(c)) return -1;
  if (c.layers == nullptr || c.layers->ws == nullptr) return receive_stream(c, to, room);
  WebSocket& ws = *c.layers->ws;
  if (ws.ended()) {  // what it said last is on its way back
    begin_close(c, ws.failed() ? CloseReason::protocol_error : end_of_peer(c, CloseReason::client));
    errno = EAGAIN;
    return -1;
  }
  const ssize_t n = receive_stream(c, to, room);
  if (n <= 0) return n;
  const std::size_t data = ws.receive(to, static_cast<std::size_t>(n), c.layers->wire);
  if (c.layers->unsent() > kUnreadMax) {  // it asks and does not read
    end(c, CloseReason::slow_consumer);
    errno = EAGAIN;
    return -1;
  }
  if (c.layers->unsent() != 0) mark_dirty(c);
  if (ws.ended()) calls_.read_later(c);
  if (data != 0) return static_cast<ssize_t>(data);
  errno = EAGAIN;
  return -1;
}

// Takes no byte more than the header's: what follows may be TLS'. False, with errno: it is not
// there yet, or the connection has ended.
bool DeviceSockets::take_proxy_header(Connection& c) {
  using protocol::proxy::Status;
  char some[protocol::proxy::kV2Max];
  const ssize_t n = recv(c.fd, some, sizeof some, MSG_PEEK | MSG_DONTWAIT);
  if (n <= 0) {
    if (n < 0) return false;
    end(c, CloseReason::peer_closed);  // a balancer that looks whether we listen
    errno = EAGAIN;
    return false;
  }
  std::string all = c.layers->proxy_header + std::string(some, static_cast<std::size_t>(n));
  std::size_t used = 0;
  protocol::proxy::Header h;
  const Status status = protocol::proxy::parse(all, used, h);
  if (status == Status::malformed) {
    ++probe_.refused_proxy;
    events::refused_proxy_header(c);
    end(c, CloseReason::protocol_error);
    errno = EAGAIN;
    return false;
  }
  (void)!recv(c.fd, some, used - c.layers->proxy_header.size(), MSG_DONTWAIT);
  if (status == Status::need_more) {
    c.layers->proxy_header = all.substr(0, used);
    errno = EAGAIN;
    return false;
  }
  if (h.has_source) {
    c.peer = h.source;
    c.peer_port = h.port;
    // Whoever is not known to be a balancer could say so, to be anonymous.
    c.loopback = !options_.proxies.empty() && h.source.is_loopback();
  }
  c.layers->proxy = false;
  base::give_back(c.layers->proxy_header);
  if (c.layers->ws == nullptr) c.layers.reset();
  if (!h.has_source || arrivals_.enter_address(c)) {  // a balancer's own are no device's
    if (!arrivals_.has_room_before_login(c)) {
      errno = EAGAIN;
      return false;
    }
    if (c.tls == nullptr) followers_.greet(c);
    return true;
  }
  end(c, CloseReason::policy);
  errno = EAGAIN;
  return false;
}

// Like send(). Of a WebSocket some packets at a time are encoded, a frame each (there are clients
// that read one packet of a frame); what the socket does not take of it waits in `wire`.
ssize_t DeviceSockets::transmit(Connection& c, const char* from, std::size_t size) {
  if (c.layers == nullptr || c.layers->ws == nullptr) return transmit_stream(c, from, size);
  if (!flush_wire(c)) return -1;
  Layers& l = *c.layers;
  buffers_.borrow(l.wire);
  std::size_t taken = 0;
  while (taken < size && l.wire.size() < kWireMax) {
    const std::string_view rest(from + taken, size - taken);
    if (l.frame_left == 0) {
      l.frame_left = packet_size(rest);
      WebSocket::put_header(l.wire, l.frame_left);
    }
    const std::size_t n = std::min({rest.size(), l.frame_left, kWireMax});
    l.wire.append(rest.substr(0, n));
    l.frame_left -= n;
    taken += n;
  }
  if (!flush_wire(c) && errno != EAGAIN) return -1;
  return static_cast<ssize_t>(taken);
}

// True: all has been taken. False: with errno.
bool DeviceSockets::flush_wire(Connection& c) {
  Layers& l = *c.layers;
  while (l.unsent() != 0) {
    const ssize_t n = transmit_stream(c, l.wire.data() + l.wire_at, l.unsent());
    if (n < 0) {
      if (errno == EINTR) errno = EAGAIN;
      return false;
    }
    l.wire_at += static_cast<std::size_t>(n);
    l.handed += static_cast<std::size_t>(n);
  }
  buffers_.recycle(l.wire);
  l.wire_at = 0;
  return true;
}

// A Close frame if there is room (RFC 6455 5.5.1); nobody waits for the answer.
void DeviceSockets::say_goodbye(Connection& c) {
  if (c.layers->ws == nullptr || !c.layers->ws->established() || c.layers->unsent() != 0) return;
  WebSocket::put_close(c.layers->wire, c.reason == CloseReason::drained ? kGoingAway : kNormal);
  flush_wire(c);
}

}  // namespace berth::gateway::edge
