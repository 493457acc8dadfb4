// What CONNECT and HELLO share: from the check of who it is to a connection that is live. A log-in
// that writes a record waits for a batch with room, in a line that is fair to tenants; so do
// SUBSCRIBEs (may_write_record). One shard, one thread.
#pragma once

#include <string_view>

#include "protocol/mqtt/types.h"
#include "session/client_port.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/effects.h"
#include "session/fair_queue.h"
#include "session/message_translator.h"
#include "session/meter.h"
#include "session/rights.h"
#include "session/route_book.h"
#include "session/session_life.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/subscription_book.h"
#include "session/tenant_usage.h"
#include "session/topic_gate.h"
#include "session/wide_fanouts.h"
#include "session/wills.h"

namespace berth::session {

class Login final : private Room {
 public:
  Login(Context& cx, ConnectionTable& connections, TenantUsage& usage, SessionTable& sessions,
        CommitPipeline& commits, TopicGate& gate, MessageTranslator& translator,
        SessionRecords& records, CookieWriter& cookies, RouteBook& route_book,
        SubscriptionBook& subscriptions, Meter& meter, DeliveryQueues& queues,
        WideFanouts& wide_fanouts, Wills& wills, SessionLife& life, Rights& rights)
      : Room(cx),
        connections_(connections),
        usage_(usage),
        sessions_(sessions),
        commits_(commits),
        gate_(gate),
        translator_(translator),
        records_(records),
        cookies_(cookies),
        route_book_(route_book),
        subscriptions_(subscriptions),
        meter_(meter),
        queues_(queues),
        wide_fanouts_(wide_fanouts),
        wills_(wills),
        life_(life),
        rights_(rights) {}

  bool any_waits() const { return !room_line_.empty(); }  // for a batch with room

  // Answer to Effects::authenticate().
  void authenticated(base::ConnId conn, AuthResult result, base::Instant now);
  // False: its session's record has to wait for a batch with room, behind those that wait already.
  bool may_write_record(Channel& ch);
  // Those whose record has room now: so many that the batch stays below twice its bytes.
  void call_some(base::Instant now);

 private:
  // After a good login: whose session it is to be, and whether its will may be said.
  protocol::mqtt::Reason admit(Channel& ch, AuthResult& result);
  // After a good login: may its will be kept, and a session for it? A replayed CONNECT has been let
  // in before.
  protocol::mqtt::Reason admit_holdings(Channel& ch);
  // After the check of who it is, and at its turn to write a record.
  void let_in(Channel& ch, base::Instant now);
  // May its CONNECT write records? Not where old and new session have expiry 0 and no will.
  bool writes_record(const Channel& ch) const;
  void establish(Channel& ch, base::Instant now);
  // When it is durable; and what subscribes with it (Park) when all partitions know of it.
  void answer_connect(Channel& ch, bool present, bool wrote, base::Instant now);
  void go_live(Channel& ch, bool present, base::Instant now);
  void refuse(Channel& ch, protocol::mqtt::Reason reason, Quota quota = Quota::none,
              std::string_view why = {}, ComeBack when = {}) {
    sessions_.refused(ch, reason);
    ch.port->refuse(ch, ch.version, reason, quota, why, when);
  }

  ConnectionTable& connections_;
  TenantUsage& usage_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  TopicGate& gate_;
  MessageTranslator& translator_;
  SessionRecords& records_;
  CookieWriter& cookies_;
  RouteBook& route_book_;
  SubscriptionBook& subscriptions_;
  Meter& meter_;
  DeliveryQueues& queues_;
  WideFanouts& wide_fanouts_;
  Wills& wills_;
  SessionLife& life_;
  Rights& rights_;
  FairQueue<base::ConnId> room_line_;  // CONNECTs and SUBSCRIBEs, until a batch has room
};

}  // namespace berth::session
