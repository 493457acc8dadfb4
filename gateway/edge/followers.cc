#include "gateway/edge/followers.h"

#include <algorithm>
#include <memory>

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {
constexpr std::size_t kComeBackMin_ms = 2000;  // over so long they are spread, or 1 ms for each
constexpr std::size_t kComeBackMax_ms = 30'000;
}  // namespace

void Followers::greet(Connection& c) {
  const std::string bytes = c.follower.greeting(c.facts());
  if (bytes.empty()) return;
  buffers_.borrow(c.out);
  c.out.append(bytes);
  mark_dirty(c);
  input_.keep(c, base::as_bytes(bytes));
  c.in_off += bytes.size();
  c.greeting = static_cast<std::uint8_t>(bytes.size());
}

// Answers heartbeats. False: this is not what is spoken here.
bool Followers::follow(Connection& c, base::ByteView bytes) {
  return c.follower.walk(bytes, c.in_off == 0, c.facts(),
                         [&](std::string_view pong) { answer_ping(c, pong); });
}

// No engine has to read it to know that it is wrong.
void Followers::reject(Connection& c, base::ByteView bytes) {
  StreamFault fault = c.follower.fault(bytes, c.in_off == 0);
  const bool large = fault.too_large;
  c.fault = std::make_unique<std::string>(std::move(fault.text));
  c.out.append(
      farewell_to(c, large ? Reason::packet_too_large : Reason::malformed_packet, *c.fault));
  begin_close(c, large ? CloseReason::frame_too_large : CloseReason::protocol_error);
}

// Before CONNACK it waits (MQTT 3.12.4-1): the device may go on talking without waiting for it. As
// many as input before CONNACK has room for.
void Followers::answer_ping(Connection& c, std::string_view pong) {
  if (!c.connected) {
    if (!c.early) c.early = std::make_unique<std::string>();
    c.early->append(pong);
    return;
  }
  ++probe_.pings;
  c.out.append(pong);
  mark_dirty(c);
}

std::string Followers::farewell_to(const Connection& c, Reason reason,
                                   std::string_view text) const {
  const bool planned = reason == Reason::server_shutting_down;
  return c.follower.farewell({.reason = reason,
                              .text = text,
                              .elsewhere = drain_.elsewhere(),
                              .come_back_after_ms = planned ? come_back_after_ms(c) : 0},
                             c.facts());
}

// Not all at once, also where they have only us to come back to.
std::uint32_t Followers::come_back_after_ms(const Connection& c) const {
  const auto spread = std::clamp<std::size_t>(counts_.connected, kComeBackMin_ms, kComeBackMax_ms);
  const std::string text = c.peer.with_port(c.peer_port) + std::to_string(c.generation);
  return static_cast<std::uint32_t>(1 + protocol::link::hash_of(text) % spread);
}

std::string Followers::banned(const Connection& c, base::ByteView first) const {
  if (c.connected) return farewell_to(c, Reason::banned);
  return c.follower.refusal({.reason = Reason::banned, .text = {}, .elsewhere = drain_.elsewhere()},
                            c.facts(), first.empty() ? base::as_bytes(c.in) : first);
}

// False: more bytes are needed, or the connection has been ended. What is no log-in goes to any
// engine, which says why it ends; one without a client id is spread by its own number, and the
// engine chooses an id of its partition.
bool Followers::place(Connection& c, base::ByteView bytes) {
  const std::uint8_t first_byte =
      c.in.empty() ? bytes.front() : static_cast<std::uint8_t>(c.in.front());
  if (c.follower.waits_for_more(first_byte, c.in_off)) return false;
  std::string all;
  if (!c.in.empty()) {
    all = c.in + std::string(base::as_text(bytes));
    bytes = base::as_bytes(all);
  }
  std::string client_id;
  const First first = c.follower.peek(bytes, client_id);
  // Its device hears that no log-in needs so much.
  if (first == First::too_large && c.follower.refuse_large(bytes, c.out))
    begin_close(c, CloseReason::frame_too_large);
  if (first == First::incomplete || first == First::too_large) return false;
  c.partition = 0;
  if (first == First::other) return true;
  const auto n = static_cast<std::uint32_t>(engines_.size());
  c.partition = static_cast<std::uint8_t>(
      client_id.empty() ? (c.slot ^ c.generation) % n : protocol::link::partition_of(client_id, n));
  return true;
}

}  // namespace berth::gateway::edge
