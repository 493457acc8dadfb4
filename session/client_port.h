// What the core says to a client, by the protocol that the client speaks. Called on the shard's
// thread, during a call into the core; answers with Effects::send().
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"
#include "protocol/park/frame.h"
#include "session/core_types.h"
#include "session/message.h"
#include "session/quota.h"
#include "session/session.h"

namespace berth::session {

// When a client that is refused may come again.
struct ComeBack {
  std::string_view limit;  // that is reached, a literal; empty: none
  std::uint32_t after_ms = 0;
};

class ClientPort {
 public:
  // A connection that an earlier engine served: `level` and `flags` as its cookie has them.
  // REQUIRES: its Scope is known.
  virtual void restore(Channel& ch, std::uint8_t level, std::uint8_t flags,
                       std::string_view client_id) = 0;
  // The level of the protocol, as edges and records have it.
  virtual std::uint8_t level(const Channel& ch) const = 0;
  // A CONNECT or HELLO is refused. `why`: for the log, and for a client that has proven its
  // identity; empty: as the reason says.
  virtual void refuse(Channel& ch, protocol::mqtt::Version v, protocol::mqtt::Reason reason,
                      Quota quota, std::string_view why, ComeBack when) = 0;
  // The session is bound; what the protocol subscribes to by itself is to be subscribed now.
  virtual void bound(Channel& ch, Session& s, bool present, base::Instant now) = 0;
  // CONNACK or WELCOME. False: it does not fit, the connection ends.
  virtual bool accept(Channel& ch, bool present, base::Instant now) = 0;
  // An input has taken effect: PUBACK, PUBREC, PUBREL, PUBCOMP; or the report `id` of a Park
  // device. `text`: why it was refused, a literal; null: as the reason says.
  virtual void acknowledge(Channel& ch, protocol::mqtt::PacketType type, std::uint32_t id,
                           protocol::mqtt::Reason reason, Quota quota, const char* text) = 0;
  // The last packet that the client gets: DISCONNECT, or ERROR and GOAWAY. `text` empty: as the
  // reason says.
  virtual void farewell(Channel& ch, protocol::mqtt::Reason reason, std::string_view text) = 0;

  // False: not sent, the client could not take it (MQTT 5.0 3.1.2-25: too large for it; or
  // expired). `packet_id` 0: QoS 0. `ids`: subscription identifiers; null: none.
  virtual bool deliver(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                       std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                       base::Instant now) = 0;
  // The same with QoS 0 for a command that must not reach the client after `d`: see
  // EdgeWords::send(). False: not sent, it is too large or too late. REQUIRES: expires_at, d.watch.
  virtual bool deliver_until(Channel& ch, const MessageView& m, const protocol::link::Deadline& d,
                             base::Instant now) = 0;

 protected:
  ~ClientPort() = default;
};

// One for each protocol; they outlive the core.
struct Ports {
  ClientPort& mqtt;
  ClientPort& park;
  // By the level of the protocol that a cookie has.
  ClientPort& of(std::uint8_t level) const { return level == protocol::park::kLevel ? park : mqtt; }
};

}  // namespace berth::session
