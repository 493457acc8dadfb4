// The state of an MQTT session (Session) and of a connection (Channel). Plain data, changed by the
// rooms of the core. One shard, one thread.
#pragma once

#include <algorithm>
#include <boost/container/options.hpp>
#include <boost/container/vector.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/ids.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"
#include "session/holdings.h"
#include "session/message.h"
#include "session/ring.h"
#include "session/router.h"
#include "session/scope.h"

namespace berth::session {

class Account;     // quota.h
class ClientPort;  // client_port.h

// A delivery's life. Stored in cookies: append only.
enum class EntryState : std::uint8_t {
  queued = 0,
  sent = 1,
  released = 2,  // PUBREC came: only PUBREL/PUBCOMP are left (4.3.3)
  done = 3
};

struct OutEntry {
  MessagePtr message;  // null: sent and not needed any more, or not in memory
  std::unique_ptr<std::vector<std::uint32_t>> ids;
  EntryState state = EntryState::queued;
  std::uint8_t qos = 0;
  bool retain = false;
  bool stored = false;       // has an entry in the store
  std::uint8_t mark = 0;     // group_mark() of the shared subscription that it came by; 0: none
  std::uint32_t queued = 0;  // when, see MessageTimes; 0: in an earlier connection, or unknown
};

// The part of a session's outgoing queue that is in memory: sequence numbers first_seq onwards.
struct Outbox {
  Ring<OutEntry> ring;
  std::uint32_t inflight = 0;  // sent or released, not done
  std::size_t bytes = 0;       // of messages in the ring
  bool loading = false;
  bool ragged = false;             // entries in flight take much of a cookie
  std::uint64_t load_ticket = 0;   // of the read under way; answers to others are dropped
  std::uint64_t load_through = 0;  // what the read under way will have seen
  // What the edge has dropped unsent and whose entries are being read; each once, so no more than
  // may be in flight.
  std::unique_ptr<std::set<std::uint64_t>> expired;
};

// A slot of a session's queue: of the messages that were put into it, only the newest is delivered
// (DeliveryQueues::append).
struct Slot {
  std::string key;
  std::uint64_t seq = 0;    // of the newest
  std::uint64_t bytes = 0;  // as the queue counts it
  std::uint8_t qos = 0;
};
struct Slots {
  std::vector<Slot> newest;  // in the order of seq
  // Sequence numbers of messages that were replaced, from and through, in order and apart: they
  // were never sent, and the store has them no more. Those that may have been passed are left out.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  // The queue as the session's record describes it, which has been restored: with gaps, first and
  // last entry tell too much.
  std::uint64_t last_seq = 0;
  std::uint64_t queued = 0;
  std::uint64_t queued_bytes = 0;
  std::uint64_t cumulative_bytes = 0;

  // The last of the gap that `seq` is in; 0: it is in none.
  std::uint64_t gap_through(std::uint64_t seq) const;
  void add_gap(std::uint64_t seq);
};

struct Subscription {
  FilterId filter = 0;
  SubOptions options;
  std::uint32_t id = 0;                 // subscription identifier
  std::unique_ptr<std::string> shared;  // group of a shared subscription
  std::string_view group() const { return shared ? *shared : std::string_view(); }
};

// 16 bytes, a third less than std::vector: there are many sessions.
using Subscriptions = boost::container::vector<
    Subscription, void,
    boost::container::vector_options_t<boost::container::stored_size<std::uint32_t>>>;

struct Will {
  MessagePtr message;
  std::uint32_t delay_s = 0;
  std::uint32_t message_expiry_s = 0;
  base::Instant at = base::kNever;  // while the device is offline: when it fires
  bool ours = false;                // it waits because we have ended the connection (I6)
  Holding held;
  Account* account = nullptr;  // when it fires: it counts for the rate of this one
};

inline Cost cost_of(const Will& w) {
  return cost_of_will(w.message->size());
}

// A QoS 2 PUBLISH received and not yet released by the device.
struct Received {
  std::uint64_t edge = 0;
  std::uint64_t conn = 0;
  std::uint64_t offset = 0;
  bool effective = false;  // its routing is visible; only then it may stand in a cookie
  bool stored = false;     // the store has its packet id
};

// sent_max is raised in such steps.
inline constexpr std::uint64_t kSentStride = 1024;

// Deliveries with QoS > 0, by sequence number. A packet id is (seq - 1) % 65535 + 1. Sessions that
// never had one own no Flow.
struct Flow {
  std::uint64_t first_seq = 1;    // oldest not done
  std::uint64_t last_seq = 0;     // newest assigned
  std::uint64_t sent_seq = 0;     // newest sent on this connection
  std::uint64_t sent_max = 0;     // stored: nothing above it was ever sent
  std::uint64_t sent_before = 0;  // sent_max as this connection's CONNECT found it
  std::uint64_t sent_surely = 0;  // stored: all up to it was sent, on earlier connections
  std::uint64_t durable_seq = 0;  // newest that may be sent (its commit is done)
  std::uint64_t dropped_seq = 0;  // newest dropped by the drop-oldest policy
  std::uint64_t queued_bytes = 0;
  std::uint64_t cumulative_bytes = 0;  // of all entries ever stored; see entry_codec.h
  std::uint32_t queued = 0;            // entries in the store
  std::uint32_t touched = 0;           // place + 1 in the open batch's list of touched sessions
  std::uint64_t check_through = 0;     // up to here rights are looked at before it is sent
  std::unique_ptr<Slots> slots;        // null: no message of a slot was ever put into it
};
inline const Flow kNewFlow{};

struct Channel;

struct Session {
  base::SessionId id;
  std::string client_id;       // with its principal's key before it (principal_key.h)
  Channel* channel = nullptr;  // null: offline
  Subscriptions subscriptions;
  std::unique_ptr<Outbox> outbox;
  std::unique_ptr<Will> will;
  std::unique_ptr<boost::unordered_flat_map<std::uint16_t, Received>> received;
  std::uint64_t epoch = 0;
  std::uint64_t owner_edge = 0;
  std::uint64_t owner_conn = 0;
  base::Instant expires_at = base::kNever;
  std::unique_ptr<Flow> flow_;  // null: as a new one; see flow()
  std::uint64_t changed = 0;  // OrderClock when a message that waits could still come to it at once
  std::uint32_t expiry_s = 0;
  bool shared = false;    // has or had shared subscriptions: its queue may hold their messages
  std::uint8_t peer = 0;    // another partition + 1 (PeerQueues)
  std::uint8_t uplink = 0;  // its place in Uplinks + 1; kUnplanned: it has none
  static constexpr std::uint8_t kUnplanned = 255;
  bool stored = false;    // has a record in the store
  bool session_present = false;  // what the owner's CONNACK said
  bool limbo = false;            // its edge is out of reach: the connection may well be alive
  bool keeps_filters = false;    // of expiry 0: its record has its subscriptions
  bool filters_stored = false;   // and is committed: its cookie need not have them
  // Its connection has asked for expiry 0: it stays stored, as it was, until that connection ends.
  bool ends_offline = false;
  bool counted = false;        // as a session of its principal; not when only its messages are left
  Account* account = nullptr;  // of its Scope's site, or tenant
  Holding held;                // of its principal, with its subscriptions
  // The other sessions of its principal (SessionTable::each_of).
  Session* own_older = nullptr;
  Session* own_newer = nullptr;
  bool internal() const { return peer != 0 || uplink != 0; }  // no client's
  bool persistent() const { return expiry_s != 0; }
  std::uint32_t asked_expiry_s() const { return ends_offline ? 0 : expiry_s; }
  void end_stay() {  // when its connection has ended
    if (std::exchange(ends_offline, false)) expiry_s = 0;
  }
  base::Instant will_at() const { return will ? will->at : base::kNever; }
  const Flow& flow() const { return flow_ ? *flow_ : kNewFlow; }
  Flow& own_flow() {
    if (!flow_) flow_ = std::make_unique<Flow>();
    return *flow_;
  }
};

inline std::uint16_t packet_id_of(std::uint64_t seq) {
  return static_cast<std::uint16_t>((seq - 1) % 65535 + 1);
}
// The sequence number at or above `first` that has this packet id.
inline std::uint64_t seq_of(std::uint16_t packet_id, std::uint64_t first) {
  const std::uint64_t base = (first - 1) % 65535 + 1;
  return first + (packet_id + 65535 - base) % 65535;
}

inline Outbox& outbox(Session& s) {
  if (!s.outbox) s.outbox = std::make_unique<Outbox>();
  return *s.outbox;
}
// Null: not in memory.
inline OutEntry* entry_at(const Session& s, std::uint64_t seq) {
  const Flow& q = s.flow();
  if (!s.outbox || seq < q.first_seq || seq - q.first_seq >= s.outbox->ring.size()) return nullptr;
  return &s.outbox->ring[seq - q.first_seq];
}

inline std::uint64_t Slots::gap_through(std::uint64_t seq) const {
  const auto after = std::upper_bound(gaps.begin(), gaps.end(), seq,
                                      [](std::uint64_t s, const auto& g) { return s < g.first; });
  return after != gaps.begin() && std::prev(after)->second >= seq ? std::prev(after)->second : 0;
}
inline void Slots::add_gap(std::uint64_t seq) {
  auto after = std::upper_bound(gaps.begin(), gaps.end(), seq,
                                [](std::uint64_t s, const auto& g) { return s < g.first; });
  const bool joins_after = after != gaps.end() && after->first == seq + 1;
  if (after != gaps.begin() && std::prev(after)->second + 1 == seq) {
    std::prev(after)->second = joins_after ? after->second : seq;
    if (joins_after) gaps.erase(after);
  } else if (joins_after) {
    after->first = seq;
  } else {
    gaps.insert(after, {seq, seq});
  }
}

struct RetainedItem {
  std::string filter;
  SubOptions options;
  std::uint32_t id = 0;
  std::string after;
};

// What the edge knows of a device that has not logged in yet.
struct Newcomer {
  base::Address address;
  std::string certificate;  // the name in it that is the user name; empty: it has shown none
  std::string authorities;  // as protocol::link::Attach has them
};

// A CONNECT that waits for its authentication.
struct PendingConnect {
  std::string client_id;  // as the device says it; of a session key after authentication
  std::string user_name;
  std::unique_ptr<Will> will;
  std::uint32_t expiry_s = 0;
  std::uint32_t expiry_asked_s = 0;
  std::uint16_t keep_alive_asked_s = 0;
  bool clean_start = false;
  bool assigned_id = false;
  protocol::link::EdgeSettings settings;  // its principal, for the edge
};

// What a connection of the Park protocol has more (front/park_front.h).
struct ParkState {
  std::string origin;           // what the gateway adds to its Envelopes
  std::string root;             // of its topics: "v1/", or "v1/_/ID/" if it is not registered
  std::string nonce;            // until its HELLO
  std::string token_asked;      // HELLO's resume token, until its WELCOME
  std::string firmware;         // the same
  std::string refused;          // reports, since the last ACK: its payload
  std::uint32_t acked = 0;      // reports up to this one may be acknowledged
  std::uint32_t reported = 0;   // the last report that is to be acknowledged
  bool counts_reports = false;  // false: what an earlier engine received is not known
  bool in_clear = false;        // no TLS
  bool ack_due = false;         // at the end of the turn
  std::uint8_t flags = 0;       // of our frames: kCrc
};

// The credential that a registered device or account has logged in with.
struct CredentialUse {
  std::string id;                      // as the registry calls it (Principals::credential_until)
  base::Instant until = base::kNever;  // it is good, as far as is known
};

// One connection. It lives from its first byte to release(), its memory to the end of that turn: a
// caller of anything that may end it looks at `state` afterwards.
struct Channel {
  enum class State : std::uint8_t { awaiting_connect, authenticating, live, closing };

  base::ConnId conn;
  State state = State::awaiting_connect;
  protocol::mqtt::Version version = protocol::mqtt::Version::v311;
  bool stalled = false;  // input waits for a commit or an answer
  bool resting = false;  // input will be offered again: resume() has been asked for
  bool slowed = false;   // input waits for the next second
  bool slow_counted = false;
  enum class RoomLine : std::uint8_t { none, waits, called } room_line = RoomLine::none;
  bool connack_sent = false;
  bool gone = false;              // the edge has no socket for it any more: nothing is sent
  bool waiting_room = false;      // output waits for writable()
  bool clean_disconnect = false;  // DISCONNECT came: no will
  bool by_operator = false;       // an operator has ended it
  bool problem_info = true;
  bool loopback = false;
  bool user_proven = false;               // of user_name; false too with a Scope
  std::uint8_t dirty = 0;                 // cookie slots to send, bit per CookieSlot
  std::uint16_t receive_maximum = 65535;  // the device's
  std::uint16_t alias_maximum = 0;        // the device's: aliases we may use
  std::uint16_t keep_alive_s = 0;
  std::uint16_t peer_port = 0;       // the device's, of `address`; 0: not known
  std::uint16_t unacked_in = 0;      // QoS > 0 PUBLISHes of the device we have not answered
  std::uint32_t packet_max = 0;      // the device's, 0: none
  std::uint32_t pending = 0;         // inputs whose effects wait for a commit
  std::uint64_t staged_since = 0;    // OrderClock when the first of these was staged
  std::uint64_t fair_key = 0;        // of the tenant or principal in whose turn its work is done
  std::uint64_t in_off = 0;          // input processed
  std::uint64_t edge_in_ack = 0;     // input the edge knows to be acknowledged
  std::uint64_t replay_end = 0;      // input up to here may be a replay
  std::uint64_t resend_through = 0;  // deliveries up to here go out with DUP
  std::optional<protocol::link::CloseReason> closed;  // ended; what it said before comes first
  base::Address address;                              // the device's; unknown: zeros
  ClientPort* port = nullptr;  // of the protocol it speaks; never null after attach()
  Session* session = nullptr;
  std::unique_ptr<CredentialUse> credential;  // null: not registered, or none was told
  ScopePtr scope;  // null: none; here because every delivery looks at it, as at `session`
  std::unique_ptr<Newcomer> newcomer;                  // before its session
  std::unique_ptr<std::vector<std::string>> alias_in;  // index = alias
  std::unique_ptr<boost::unordered_flat_map<std::string, std::uint16_t>> alias_out;
  std::unique_ptr<std::deque<RetainedItem>> retained;
  std::unique_ptr<std::vector<std::pair<std::uint64_t, std::string>>> applied;  // offset, outcome
  std::unique_ptr<PendingConnect> connect;
  std::unique_ptr<std::string> user_name;
  std::unique_ptr<ParkState> park;  // null: MQTT

  bool v5() const { return version == protocol::mqtt::Version::v5; }
  bool live() const { return state == State::live; }
};

}  // namespace berth::session
