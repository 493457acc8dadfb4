// What the rooms of the core keep and hand to each other besides sessions and channels: plain data
// without a thread of its own.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/types.h"
#include "protocol/park/frame.h"
#include "session/message.h"
#include "session/meta_keys.h"
#include "session/peer_tag.h"
#include "session/quota.h"
#include "session/retained.h"
#include "session/router.h"
#include "session/session.h"
#include "session/store.h"
#include "session/turn_work.h"

namespace berth::session {

// When a client that is refused may come again.
struct ComeBack {
  std::string_view limit;  // that is reached, a literal; empty: none
  std::uint32_t after_ms = 0;
};
// Cut from a connection's input: of the one protocol or the other.
struct Packet {
  protocol::mqtt::Frame mqtt;
  protocol::park::Frame park;
  std::size_t size = 0;
};
// What was made of the bytes at the beginning of a connection's input.
enum class Cut : std::uint8_t { complete, need_more, failed };
// The member of a shared group that gets a message.
struct Pick {
  base::SessionId session;
  std::uint32_t route = 0;  // the group's
};
struct Deferred {
  enum class Kind : std::uint8_t { publish, reply, call };
  Kind kind = Kind::reply;
  protocol::mqtt::PacketType reply_type{};  // puback, pubrec, pubrel, pubcomp; 0: none
  protocol::mqtt::Reason reason{};
  bool kept = false;            // the retained message has been replaced
  std::uint32_t packet_id = 0;  // or a report's seq
  Quota quota = Quota::none;    // that has refused it
  const char* text = nullptr;   // why it is refused, a literal; null: as the reason says
  std::uint32_t came = 0;       // when its input came, see MessageTimes
  base::ConnId conn;
  std::uint64_t work = 0;  // whom it is done for, if no connection (works_for.h)
  std::uint64_t in_off = 0;
  MessagePtr message;
  std::uint64_t stamp = 0;               // of a retained one
  std::shared_ptr<const PeerTag> tag;    // from another partition
  std::uint8_t source = 0;               // that one + 1
  base::SessionId publisher;             // no local
  std::vector<Pick> picks;               // members chosen of shared groups, not stored
  std::vector<base::SessionId> spilled;  // expiry-0 sessions for which it was stored all the same
  std::shared_ptr<Fanout> fanout;        // to many
  std::function<void(base::Instant)> call;

  // For Room::works_for().
  std::uint64_t work_word() const { return conn == base::kNoConn ? work : conn.packed(); }
};
struct OpenBatch {
  std::shared_ptr<Batch> writes = std::make_shared<Batch>();
  std::vector<Deferred> deferred;
  std::size_t again = 0;  // of these, in front: what came back from an earlier batch
  std::vector<std::pair<base::SessionId, std::uint64_t>> touched;  // newest seq appended
  bool retains = false;  // of what is deferred something is retained when it is run
};
// Of a batch that has been committed: what waited for it, as far as it has not been run yet.
struct Due {
  std::vector<Deferred> list;
  std::size_t at = 0;
  std::vector<std::pair<base::SessionId, std::uint64_t>> touched;
  std::size_t pumped = 0;
  bool retains = false;  // as of the batch
};
// A QoS 0 message to sessions on other links than its publisher's: leaves when the publisher's
// edge has its acknowledgement, so that a crash loses it and never doubles it.
struct LateCopies {
  struct To {
    base::SessionId session;
    SubOptions options;
    std::vector<std::uint32_t> ids;
  };
  std::uint64_t turn = 0;
  MessagePtr message;
  std::vector<To> to;
};
using AppliedList = std::vector<std::pair<std::uint64_t, std::string>>;
struct Edge {
  enum class State : std::uint8_t { none, present, lost };
  std::uint64_t id = 0;
  State state = State::none;
  bool trusted = false;  // no engine has given up expiry-0 sessions that only it remembers
  bool internal = false;
  std::deque<LateCopies> late;
  std::uint64_t taken = 0;  // turns
};
struct Delivery {
  MessageView message;
  MessagePtr owned;  // made when first needed
  base::SessionId publisher;
  base::ConnId origin = base::kNoConn;  // the publisher's connection
  const PeerTag* tag = nullptr;         // from another partition, or for ours only
  std::uint8_t source = 0;              // that partition + 1
  std::uint8_t mark = 0;                // group_mark(), while a member of a shared group gets it
  bool plain() const { return tag == nullptr || (tag->group == 0 && !tag->retain_only); }
  const MessagePtr& own() {
    if (!owned) owned = MessagePtr(message);
    return owned;
  }
};

// Who has ended a connection: the device by DISCONNECT, the device otherwise, or the gateway
// (drain, engine absent, edge gone): the device had no part in it.
enum class EndBy : std::uint8_t { disconnect, device, us };
// What becomes of the will of a session that ends.
enum class WillOf : std::uint8_t { published, dropped };

// When it is looked at which expiry-0 sessions need a stored copy.
enum class SpillPhase : std::uint8_t { staging, replayed, run };

// The encoded head of a PUBLISH, reused for all receivers that differ in the packet id at most.
struct HeadCache {
  std::string bytes;
  std::size_t packet_id_at = 0;
  int key = -1;
  std::uint64_t run = 0;  // of which message, see Room::new_message()
};

// What a SUBSCRIBE has come to.
struct Subscribed {
  std::vector<protocol::mqtt::Reason> reasons;
  std::string outcome;
  std::shared_ptr<std::deque<RetainedItem>> items;  // whose retained messages it wants
};
// What a quota says of a PUBLISH.
struct Metered {
  enum What : std::uint8_t { pass, refuse, wait } what = pass;
  Quota quota = Quota::none;
};
struct Publisher {  // of whom messages may wait for a commit
  bool waits = false;
  std::uint64_t* since = nullptr;  // the moment when the first of them was staged; null: no order
};

// -- sessions by number and by client id
struct IdHash {
  using is_transparent = void;
  std::size_t operator()(const Session* s) const { return (*this)(s->id.value); }
  std::size_t operator()(std::uint64_t id) const { return boost::hash<std::uint64_t>{}(id); }
};
struct IdEq {
  using is_transparent = void;
  bool operator()(const Session* a, const Session* b) const { return a->id.value == b->id.value; }
  bool operator()(std::uint64_t a, const Session* b) const { return a == b->id.value; }
  bool operator()(const Session* a, std::uint64_t b) const { return a->id.value == b; }
};
struct ClientHash {
  using is_transparent = void;
  std::size_t operator()(const Session* s) const { return (*this)(std::string_view(s->client_id)); }
  std::size_t operator()(std::string_view c) const { return std::hash<std::string_view>{}(c); }
};
struct ClientEq {
  using is_transparent = void;
  bool operator()(const Session* a, const Session* b) const { return a->client_id == b->client_id; }
  bool operator()(std::string_view a, const Session* b) const { return a == b->client_id; }
  bool operator()(const Session* a, std::string_view b) const { return a->client_id == b; }
};

// -- other partitions
struct Route {
  int count = 0;  // subscriptions of ours
  bool told = false;
  std::int64_t idle_since_ms = 0;  // if count is 0
  bool looked_at = false;          // is in idle_routes_, once
};
struct Source {
  std::uint64_t taken = 0;                           // newest seq in the open batch or before
  std::uint64_t durable = 0;                         // newest committed
  boost::unordered_flat_set<std::uint64_t> skipped;  // by seq
  std::uint32_t pending = 0;                         // messages that wait for a commit
  std::uint64_t staged_since = 0;                    // as of a Channel
};
struct RouteWait {
  std::uint64_t number = 0;
  std::int64_t until_ms = 0;
  Deferred what;
};

}  // namespace berth::session
