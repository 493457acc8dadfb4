// Edges that come, break off, come back or are gone (docs/design.md, "Two fences"; ADR 8).
//
// An edge out of reach is to the engine what a dead engine is to an edge: nothing that it has not
// accepted has happened. Its connections are forgotten; their sessions stay, in limbo, without will
// or expiry: messages for them go to the store, for expiry-0 sessions too. When the edge comes back
// its cookies and what it says again bring everything to where it was. One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/edge_words.h"
#include "session/replay_log.h"
#include "session/retained_delivery.h"
#include "session/route_book.h"
#include "session/session_life.h"
#include "session/session_table.h"
#include "session/wide_fanouts.h"

namespace berth::session {

class EdgeLinks final : private Room {
 public:
  EdgeLinks(Context& cx, std::deque<Deferred>& staging, ConnectionTable& connections,
            SessionTable& sessions, CommitPipeline& commits, ReplayLog& replay,
            RouteBook& route_book, DeliveryQueues& queues, RetainedDelivery& retained_delivery,
            WideFanouts& wide_fanouts, SessionLife& life, EdgeWords& words)
      : Room(cx),
        staging_(staging),
        connections_(connections),
        sessions_(sessions),
        commits_(commits),
        replay_(replay),
        route_book_(route_book),
        queues_(queues),
        retained_delivery_(retained_delivery),
        wide_fanouts_(wide_fanouts),
        life_(life),
        words_(words) {}

  bool serving() const { return serving_; }  // all edges that are to be waited for have attached
  void begin_serving() { serving_ = may_have_work_ = true; }

  // A link to this edge is up: the edge gives its connections with attach(), then attached().
  // `internal`: it carries other partitions' bridges only; successors do not wait for it. REQUIRES:
  // the link is not present and its connections are forgotten; a link keeps its edge_id.
  void came(std::uint32_t link, std::uint64_t edge_id, bool internal = false);
  // `done` runs when the edge's id is in the store, for the engine after us; then its inputs may
  // run. Before begin_serving() `done` is not called: attached() is to be called again.
  void attached(std::uint32_t link, base::Instant now, std::function<void()> done);
  // The link broke. The edge may come back with its connections, so nobody is told of an end. What
  // the edge has not accepted has not happened; the edge replays that input.
  void lost(std::uint32_t link, base::Instant now);
  // The edge will not come back. Its connections end by the gateway (EndBy::us), not by the
  // devices.
  void gone(std::uint32_t link, base::Instant now);

 private:
  // What waits for a commit: the edge will say it again, and what the commit stores for it is found
  // then.
  void forget_lost_inputs(std::uint32_t link);
  void let_go(Channel& ch);

  std::deque<Deferred>& staging_;
  ConnectionTable& connections_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  ReplayLog& replay_;
  RouteBook& route_book_;
  DeliveryQueues& queues_;
  RetainedDelivery& retained_delivery_;
  WideFanouts& wide_fanouts_;
  SessionLife& life_;
  EdgeWords& words_;
  bool serving_ = false;  // attached_all() has been
};

}  // namespace berth::session
