// From CONNECT to the end of a session: claim, take over, bind; the end of connections behind all
// that they said before; expiry and wills by timers. The only room that ends sessions. One shard,
// one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "protocol/link/types.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/edge_words.h"
#include "session/estates.h"
#include "session/replay_log.h"
#include "session/session.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/shared_handover.h"
#include "session/subscription_book.h"
#include "session/take_over_fights.h"
#include "session/tenant_usage.h"
#include "session/wills.h"

namespace berth::session {

// What becomes of the will of a session that ends.
enum class WillOf : std::uint8_t { published, dropped };

class SessionLife final : private Room {
 public:
  SessionLife(Context& cx, ConnectionTable& connections, TenantUsage& usage, SessionTable& sessions,
              CommitPipeline& commits, Clients& clients, ReplayLog& replay, SessionRecords& records,
              SubscriptionBook& subscriptions, DeliveryQueues& queues, Wills& wills,
              Estates& estates, SharedHandover& handover, EdgeWords& words)
      : Room(cx),
        connections_(connections),
        usage_(usage),
        sessions_(sessions),
        commits_(commits),
        clients_(clients),
        replay_(replay),
        records_(records),
        subscriptions_(subscriptions),
        queues_(queues),
        wills_(wills),
        estates_(estates),
        handover_(handover),
        words_(words) {}

  bool any_ending() const { return !clients_.ending().empty() || !ending_stored_.empty(); }
  bool any_ending_in_store() const { return !ending_stored_.empty(); }
  bool any_timer_due() const { return !timers_.empty() && timers_.top().first <= latest_.ms; }

  // Finds or makes the session and decides Session Present, once for each CONNECT: a replayed
  // CONNECT of a connection that already owns the session repeats the first answer.
  Session& claim(Channel& ch, bool& present, base::Instant now);
  // The old connection of a session ends before the new one's CONNACK (3.1.4-3).
  void take_over(Session& s, const Channel& by, base::Instant now);
  // REQUIRES: the session is offline.
  void bind(Channel& ch, Session& s);
  void apply_connect(Channel& ch, Session& s, base::Instant now);
  // Turns are shared among tenants; a client that is not registered has one for itself.
  static void use_fair_key(Channel& ch);
  // A device at its limit of sessions that connects with a new client id: its sessions with the
  // oldest CONNECT end, as many as needed for one place.
  void make_place(const Channel& ch, base::Instant now);
  // The end of a connection takes effect behind all that it said before: what waits for a commit,
  // and what has not been read because of it (a DISCONNECT, which takes the will back). The end of
  // a stored session's connection writes its record, and waits for room in the batch; while the
  // store takes nothing, the others end all the same.
  void end_connections(base::Instant now);
  // REQUIRES: it has no channel any more. Of the session that it had.
  void connection_ended(Session& s, EndBy end, base::Instant now);
  // The only way in which a session ends.
  void end_session(Session& s, WillOf will, base::Instant now);
  // Ends it with its connection and its queue: its principal is removed. Its tenant gets its will,
  // unless the device or the gateway has ended the connection; the will is not retained, because no
  // device could replace it.
  void remove_session(Session& s, const char* why, base::Instant now);
  // Wills that are due, sessions that have expired.
  void run_timers(base::Instant now);
  void schedule(Session& s, base::Instant at) {
    timers_.push({at.ms, s.id.value});
    may_have_work_ = may_have_work_ || at <= latest_;
  }

 private:
  void replace(Session& s, const Channel& by, base::Instant now);
  void finish_close(base::ConnId conn, protocol::link::CloseReason cause, base::Instant now);
  void detach(Channel& ch, protocol::link::CloseReason cause, base::Instant now);
  void go_offline(Session& s, base::Instant now);
  void on_timer(Session& s, base::Instant now);

  ConnectionTable& connections_;
  TenantUsage& usage_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  Clients& clients_;
  ReplayLog& replay_;
  SessionRecords& records_;
  SubscriptionBook& subscriptions_;
  DeliveryQueues& queues_;
  Wills& wills_;
  Estates& estates_;
  SharedHandover& handover_;
  EdgeWords& words_;
  // Timers of sessions (expiry, will), oldest first; stale ones find nothing to do.
  std::priority_queue<std::pair<std::int64_t, std::uint64_t>,
                      std::vector<std::pair<std::int64_t, std::uint64_t>>, std::greater<>>
      timers_;
  TakeOverFights fights_;
  std::vector<base::ConnId> ending_stored_;  // of these, whose end writes a record
};

}  // namespace berth::session
