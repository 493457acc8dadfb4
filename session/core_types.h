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
#include "protocol/mqtt/types.h"
#include "session/message.h"
#include "session/peer_tag.h"
#include "session/quota.h"
#include "session/router.h"
#include "session/session.h"
#include "session/store.h"
#include "session/turn_work.h"

namespace berth::session {

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
  std::uint64_t work = 0;  // the work it is done for, if no connection (works_for.h)
  std::uint64_t in_off = 0;
  MessagePtr message;
  std::uint64_t stamp = 0;               // of a retained one
  std::shared_ptr<const PeerTag> tag;    // from another partition
  std::uint8_t source = 0;               // that partition + 1
  base::SessionId publisher;             // no local
  std::vector<Pick> picks;               // members chosen of shared groups, not stored
  std::vector<base::SessionId> spilled;  // expiry-0 sessions for which it was stored all the same
  std::shared_ptr<Fanout> fanout;        // to many
  std::function<void(base::Instant)> call;

  // For Room::works_for().
  std::uint64_t work_word() const { return conn == base::kNoConn ? work : conn.packed(); }
};
struct Delivery {
  MessageView message;
  MessagePtr owned;  // made when first needed
  base::SessionId publisher;
  base::ConnId origin = base::kNoConn;  // the publisher's connection
  const PeerTag* tag = nullptr;         // from another partition, or only for this one
  std::uint8_t source = 0;              // that partition + 1
  std::uint8_t mark = 0;                // group_mark(), while a member of a shared group gets it
  bool plain() const { return tag == nullptr || (tag->group == 0 && !tag->retain_only); }
  const MessagePtr& own() {
    if (!owned) owned = MessagePtr(message);
    return owned;
  }
};

// -- other partitions
struct Source {
  std::uint64_t taken = 0;                           // newest seq in the open batch or before
  std::uint64_t durable = 0;                         // newest committed
  boost::unordered_flat_set<std::uint64_t> skipped;  // by seq
  std::uint32_t pending = 0;                         // messages that wait for a commit
  std::uint64_t staged_since = 0;                    // as of a Channel
};

}  // namespace berth::session
