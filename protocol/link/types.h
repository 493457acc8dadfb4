// What edge and engine say to one another about a connection, as plain values (docs/design.md,
// "The link"). Their bytes are in records.h; within a process the values themselves are passed.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/clock.h"
#include "base/ids.h"

namespace berth::protocol::link {

// Why a connection ends. Edge and engine both name reasons; exported as a metric label. Numbers are
// on the link: append only.
enum class CloseReason : std::uint8_t {
  client = 0,  // DISCONNECT or BYE of the device
  peer_reset = 1,
  keepalive_timeout = 2,
  handshake_timeout = 3,
  protocol_error = 4,
  taken_over = 5,
  refused = 6,  // CONNACK with an error
  drained = 7,  // our own shutdown: wills are held back
  frame_too_large = 8,
  slow_consumer = 9,
  policy = 10,  // quota, administrative action
  engine_absent = 11,
  session_lost = 12,
  poison = 13,
  tls_failed = 14,   // before an engine hears of it
  peer_closed = 15,  // FIN without DISCONNECT; an edge's own word, on the link it is `client`
  // Reset at the deadline of a command's packet that it had not acknowledged; to a release before
  // version 6 it is `peer_reset`.
  cut_off = 16,
  count = 17
};
const char* name_of(CloseReason reason);
// The reason that says nearly the same to a process that knows peer_closed and cut_off not.
CloseReason known_to_the_release_before(CloseReason reason);

// The same for every build and machine: edges and engines of different releases agree on it.
std::uint64_t hash_of(std::string_view client_id);
// Which of the gateway's partitions a client's session is in (ADR 10).
inline constexpr std::uint32_t kPartitionsMax = 64;
inline std::uint32_t partition_of(std::string_view client_id, std::uint32_t partitions) {
  return partitions <= 1 ? 0 : static_cast<std::uint32_t>(hash_of(client_id) % partitions);
}

// A message of another partition that an engine works on, by its number in that one's queue for us.
// As one word it is no connection's: the upper bit is set.
struct ForwardedWork {
  static constexpr std::uint64_t kMark = std::uint64_t{1} << 63;
  static constexpr unsigned kSeqBits = 55;
  // Not a partition: a will whose publication the engine before had begun, by its intent's number.
  static constexpr std::uint32_t kWillSource = 255;
  // Nor is what an ended member of a shared subscription has left, by its session's number.
  static constexpr std::uint32_t kEstateSource = 254;
  std::uint32_t source = 0;
  std::uint64_t seq = 0;
  constexpr std::uint64_t packed() const {
    return kMark | (static_cast<std::uint64_t>(source) << kSeqBits) |
           (seq & ((std::uint64_t{1} << kSeqBits) - 1));
  }
  static constexpr ForwardedWork from_packed(std::uint64_t v) {
    return {static_cast<std::uint32_t>((v & ~kMark) >> kSeqBits),
            v & ((std::uint64_t{1} << kSeqBits) - 1)};
  }
  static constexpr bool is(std::uint64_t word) { return (word & kMark) != 0; }
  friend constexpr auto operator<=>(const ForwardedWork&, const ForwardedWork&) = default;
};

// Numbered slots of a connection's cookie. Opaque to the edge.
enum class CookieSlot : std::uint8_t {
  identity = 0,
  sent_seq = 1,
  alias_in = 2,
  alias_out = 3,
  volatile_state = 4,
  retained_cursor = 5,
  subscriptions = 6,  // since link version 4; before it a part of volatile_state
  count = 7
};
using Cookie = std::array<std::string, static_cast<std::size_t>(CookieSlot::count)>;
inline constexpr std::uint64_t kSubscriptionSlotSince = 4;
// As an engine that knows no subscriptions slot reads it.
void join_subscriptions(Cookie& cookie);

// Whoever a connection belongs to, as a number: 128 bits of SHA-256 of the principal's key
// (session/principal_key.h). All 0: not said.
struct PrincipalId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  constexpr bool is_set() const { return (high | low) != 0; }
  // A tenant's number (EdgeSettings::tenant) in a list of principals.
  static constexpr PrincipalId of_tenant(std::uint64_t tenant) { return {0, tenant}; }
  friend constexpr auto operator<=>(const PrincipalId&, const PrincipalId&) = default;
};
struct PrincipalIdHash {
  std::size_t operator()(const PrincipalId& id) const {
    return static_cast<std::size_t>(id.low);  // uniform as it is
  }
};

// A principal, or a tenant (of_tenant), that has killed engines. 0 seconds: not any more.
struct KeptOut {
  PrincipalId id;
  std::uint32_t seconds = 0;
  friend constexpr bool operator==(const KeptOut&, const KeptOut&) = default;
};

// The tag of a packet that carries a command (Deadline::tag); the tag of a delivery is its sequence
// number, whose upper bit is clear.
inline constexpr std::uint64_t kCommandTag = std::uint64_t{1} << 63;
constexpr bool is_command(std::uint64_t tag) {
  return (tag & kCommandTag) != 0;
}

// Until when a packet may be written to a device's socket. Since version 5 of the link.
struct Deadline {
  // The last millisecond in which it may be written, by the clock of Message Expiry
  // (base::Clocks::messages) of the engine that says it. kNever is none: REQUIRES: not kNever.
  base::Instant not_after;
  // What the session calls the packet: a delivery's sequence number, or a command's tag
  // (is_command()). Told back if the edge drops the packet. 0: nobody is told.
  std::uint64_t tag = 0;
  // Since version 6 of the link. REQUIRES, both: is_command(tag); `fresh`: `watch`.
  bool watch = false;  // the edge says of the packet one Fate
  // The packet is written at once to a connection that is fresh, or not at all.
  bool fresh = false;
  // At the deadline the edge resets a connection that has bytes of the packet and has not
  // acknowledged all of them: no other way takes them back. A packet that is watched and not fresh
  // may arrive later than its deadline by what the kernel holds. An edge of an earlier release
  // resets for `fresh` only.
  bool resets() const { return fresh || !watch; }
};

// What has become of a packet at the edge. Numbers are on the link: append only. A watched packet
// gets exactly one of `dropped`, `stale`, `written` and `cut_off`; `cut_off` may also follow
// `written`. A packet that is not watched gets `dropped` or nothing.
enum class Fate : std::uint8_t {
  dropped = 0,  // no byte was written: too late, no room for it, or the connection ended before
  written = 1,  // the kernel of the edge has taken all bytes; the device may have the packet
  stale = 2,    // no byte was written, because the connection was not fresh
  // Bytes were written, and the connection was reset at the deadline; or it ended when the kernel
  // had some of the bytes and not all.
  cut_off = 3,
  count = 4
};
const char* name_of(Fate fate);

// What the edge must know of a connection's protocol state.
struct EdgeSettings {
  bool connected = false;          // CONNACK with success is in this step
  std::uint8_t version = 0;        // 3, 4, 5: whether a DISCONNECT may be sent
  std::uint16_t keep_alive_s = 0;  // 0: none
  // Since version 4 of the link.
  PrincipalId principal;
  std::uint64_t tenant = 0;  // 0: none
  bool anonymous = false;    // the principal is an address
};

// One connection as the edge hands it to an engine, new or after a crash.
struct Attach {
  base::ConnId conn;
  std::uint32_t attach_epoch = 0;
  std::uint64_t in_ack = 0;   // input accepted as processed, bytes
  std::uint64_t in_end = 0;   // input received so far: what lies between may be a replay
  std::uint64_t out_off = 0;  // engine output accepted, bytes
  std::uint64_t written = 0;  // of that, handed to the kernel
  bool connected = false;
  bool loopback = false;  // the peer's address is a loopback address
  bool ended = false;     // it has no socket any more: its input and its end are all that is left
  base::Address peer;     // of a connection before its CONNACK
  std::uint16_t peer_port = 0;
  std::string certificate;  // the name in the device's certificate that is its user name
  std::string authorities;  // SHA-256 of the public keys of those that signed it, 32 bytes each
  Cookie cookie;
};

}  // namespace berth::protocol::link
