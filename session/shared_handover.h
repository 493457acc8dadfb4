// Shared subscriptions: what an ended session held goes to another member, in its order
// (MQTT 5.0 4.8.2), without DUP: for that member it is the first attempt (3.3.1.1). Not a QoS 2
// message that may have been sent: it must not go to another member (4.8.2-5).
//
// A message of the queue leaves it in the batch that brings it into the other one, so an engine's
// death neither loses nor doubles it. The session stays in the table of sessions, and its record in
// the store, under a name that no client can have, until its queue is empty (Estates). One shard,
// one thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/client_port.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/distributor.h"
#include "session/estates.h"
#include "session/peer_queues.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/store.h"
#include "session/subscription_book.h"

namespace berth::session {

namespace pb {
class Session;
}

class SharedHandover final : private Room {
 public:
  SharedHandover(Context& cx, Estates& estates, SessionTable& sessions, CommitPipeline& commits,
                 SessionRecords& records, SubscriptionBook& subscriptions, DeliveryQueues& queues,
                 PeerQueues& peer_queues, Distributor& distributor)
      : Room(cx),
        estates_(estates),
        sessions_(sessions),
        commits_(commits),
        records_(records),
        subscriptions_(subscriptions),
        queues_(queues),
        peer_queues_(peer_queues),
        distributor_(distributor) {}

  // Before a session ends. True: it stays until what it holds has been handed on.
  bool leave(Session& s, base::Instant now);
  static std::uint64_t fair_key_of(const Session& s);
  // Those found in the store, and those whose read has failed.
  void read_again();
  // True: the record is one of an ended session.
  bool restore(Session& s, const pb::Session& r);
  // A part of what waits, of each in turn.
  void go_on(base::Instant now);
  // Answer to Effects::load_queue().
  void loaded(base::SessionId id, std::uint64_t ticket,
              const base::result<std::vector<StoredEntry>>& entries);

 private:
  // Without replay an expiry-0 session has nothing in the store.
  static void hold_in_memory(const Session& s, Estate& e);
  // Its turn comes when all that is in the open batch, of its queue too, can be read.
  void await(base::SessionId id, bool behind_commit, base::Instant now);
  void end(Session& s);
  // One message. Its entry is removed in the batch that has the other member's.
  void hand_on(Session& from, const Estate& e, const Estate::Held& h, base::Instant now);
  void hand_to(Session& to, SubOptions options, const std::vector<std::uint32_t>& ids, Delivery& d,
               base::Instant now);
  // The group that it came by: one of its session's, else (it has unsubscribed since) the only one
  // that has this mark.
  SharedGroup* group_of(const Estate& e, std::string_view topic, std::uint8_t mark);

  Estates& estates_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  SessionRecords& records_;
  SubscriptionBook& subscriptions_;
  DeliveryQueues& queues_;
  PeerQueues& peer_queues_;
  Distributor& distributor_;
  std::vector<base::SessionId> unread_estates_;  // again at tick()
};

}  // namespace berth::session
