#include "gateway/edge/followers.h"

#include <openssl/rand.h>

#include <algorithm>
#include <memory>

#include "base/wall_clock.h"
#include "protocol/mqtt/codec.h"
#include "protocol/mqtt/reason_text.h"
#include "protocol/mqtt/wire.h"
#include "protocol/park/control.h"
#include "protocol/park/faults.h"

namespace berth::gateway::edge {

namespace park = protocol::park;
using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {
constexpr std::size_t kComeBackMin_ms = 2000;  // over so long they are spread, or 1 ms for each
constexpr std::size_t kComeBackMax_ms = 30'000;

// DISCONNECT, where there is one with Server Reference (3.14.2.2.5).
std::string disconnect_packet(Reason reason, const std::string& reference) {
  if (reference.empty()) return {'\xe0', '\x01', static_cast<char>(reason)};
  std::string property;
  property.push_back('\x1c');
  property.push_back(static_cast<char>(reference.size() >> 8));
  property.push_back(static_cast<char>(reference.size()));
  property.append(reference);
  std::string body(1, static_cast<char>(reason));
  base::put_varint(body, property.size());  // MQTT's variable byte integer is the same up to here
  body.append(property);
  std::string packet{"\xe0"};
  base::put_varint(packet, body.size());
  return packet + body;
}

// Of a CONNECT: 5, or less for what has shorter answers.
bool wants_version_5(std::string_view first) {
  // Fixed header, remaining length of 1 to 4 bytes, "MQTT" with its length, the version.
  std::size_t at = 1;
  while (at < first.size() && at < 5 && (static_cast<unsigned char>(first[at]) & 0x80) != 0) ++at;
  at += 1 + 2 + 4;
  return at < first.size() && first[at] == 5;
}

}  // namespace

// The GREETING stands in front of the device's input too, so whichever engine reads its HELLO, now
// or after a crash, knows what the device was asked.
void Followers::greet(Connection& c) {
  park::Greeting g;
  g.nonce.resize(park::kNonceBytes);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(g.nonce.data()), park::kNonceBytes) != 1)
    return;  // nobody may guess it; without a greeting the connection ends in its time
  g.server_time_ms = base::wall_time().ms;
  g.crc_wanted = c.tls == nullptr;
  const std::string bytes = park::encode_greeting(g, g.crc_wanted ? park::kCrc : 0);
  buffers_.borrow(c.out);
  c.out.append(bytes);
  mark_dirty(c);
  input_.keep(c, base::as_bytes(bytes));
  c.in_off += bytes.size();
  c.greeting = static_cast<std::uint8_t>(bytes.size());
}

bool Followers::follow_park(Connection& c, base::ByteView bytes) {
  const auto pong = [&](std::uint8_t flags, std::uint32_t seq) {
    std::string bytes;
    park::put_pong(bytes, flags & park::kCrc, seq, base::wall_time().ms);
    answer_ping(c, bytes);
  };
  return c.park_walker.walk(bytes, c.tls == nullptr, pong);
}

// Answers heartbeats. False: this is not what is spoken here.
bool Followers::follow(Connection& c, base::ByteView bytes) {
  if (c.speaks_park()) return follow_park(c, bytes);
  if (c.in_off == 0 && bytes.front() == protocol::park::kMagic0) return false;
  return c.walker.walk(bytes, [&] { answer_ping(c, {"\xd0\x00", 2}); });
}

// No engine has to read it to know that it is wrong.
void Followers::reject(Connection& c, base::ByteView bytes) {
  const bool park = c.speaks_park();
  const bool large = park && c.park_walker.fault() == protocol::park::Walker::Fault::too_large;
  const bool park_at_mqtt = !park && c.in_off == 0 && bytes.front() == protocol::park::kMagic0;
  c.fault =
      std::make_unique<std::string>(park           ? protocol::park::text_of_fault(c.park_walker)
                                    : park_at_mqtt ? "the Park protocol at a listener of MQTT"
                                                   : "a Remaining Length of more than 4 bytes");
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

// What a device is told before we end its connection; MQTT 3.1.1 has no words for it.
std::string Followers::farewell_to(const Connection& c, Reason reason,
                                   std::string_view text) const {
  static const std::string kNowhere;
  const bool planned = reason == Reason::server_shutting_down;
  const std::string& where = !planned          ? kNowhere
                             : c.speaks_park() ? drain_.elsewhere().park_endpoint
                                               : drain_.elsewhere().server_reference;
  if (!where.empty()) reason = Reason::use_another_server;
  if (c.speaks_park()) {
    const std::uint8_t flags = c.tls == nullptr ? park::kCrc : 0;
    return planned
               ? park::encode_goaway(reason, come_back_after_ms(c), where, flags)
               : park::encode_error(reason, text.empty() ? std::string_view(text_of(reason)) : text,
                                    {}, 0, flags);
  }
  if (c.connected && c.version == 5) return disconnect_packet(reason, where);
  return {};
}

// Not all at once, also where they have only us to come back to.
std::uint32_t Followers::come_back_after_ms(const Connection& c) const {
  const auto spread = std::clamp<std::size_t>(counts_.connected, kComeBackMin_ms, kComeBackMax_ms);
  const std::string text = c.peer.with_port(c.peer_port) + std::to_string(c.generation);
  return static_cast<std::uint32_t>(1 + protocol::link::hash_of(text) % spread);
}

// What a connection is told that is kept out. `first`: its first bytes, if it has just come.
std::string Followers::banned(const Connection& c, base::ByteView first) const {
  if (c.connected || c.speaks_park()) {
    if (!c.speaks_park()) return farewell_to(c, Reason::banned);
    const std::uint8_t flags = c.tls == nullptr ? protocol::park::kCrc : 0;
    return protocol::park::encode_error(Reason::banned, protocol::mqtt::text_of(Reason::banned), {},
                                        0, flags);
  }
  const std::string_view bytes = first.empty() ? std::string_view(c.in) : base::as_text(first);
  if (bytes.empty()) return {};
  using protocol::mqtt::Version;
  std::string out;
  protocol::mqtt::encode_connack(out, wants_version_5(bytes) ? Version::v5 : Version::v311, false,
                                 Reason::banned, {});
  return out;
}

}  // namespace berth::gateway::edge
