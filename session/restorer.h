// Sessions from the store, connections from cookies (docs/design.md, "Attach and replay"). What the
// store has comes first (RestoreSink), then the connections of the edges that are waited for
// (attach), then attached_all(): routes stand, inputs may run, and what nobody has asked for is
// removed. Edges that come later attach their connections here too. One shard, one thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/link/records.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/delivery_queues.h"
#include "session/edge_links.h"
#include "session/estates.h"
#include "session/live_records.h"
#include "session/meta_keys.h"
#include "session/peer_intake.h"
#include "session/peer_queues.h"
#include "session/replay_log.h"
#include "session/retained.h"
#include "session/retained_delivery.h"
#include "session/session_life.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/shared_handover.h"
#include "session/store.h"
#include "session/subscription_book.h"
#include "session/uplink_queue.h"
#include "session/wills.h"

namespace berth::session {

namespace pb {
class ChannelIdentity;
class Session;
}  // namespace pb

class Restorer final : public RestoreSink, private Room {
 public:
  Restorer(Context& cx, const Ports& ports, Retained& retained, Estates& estates,
           ConnectionTable& connections, SessionTable& sessions, CommitPipeline& commits,
           Clients& clients, ReplayLog& replay, SessionRecords& records, CookieWriter& cookies,
           SubscriptionBook& subscriptions, DeliveryQueues& queues, PeerQueues& peer_queues,
           RetainedDelivery& retained_delivery, Wills& wills, SharedHandover& handover,
           SessionLife& life, PeerIntake& peer_intake, EdgeLinks& edge_links)
      : Room(cx),
        ports_(ports),
        retained_(retained),
        estates_(estates),
        connections_(connections),
        sessions_(sessions),
        commits_(commits),
        clients_(clients),
        replay_(replay),
        records_(records),
        cookies_(cookies),
        subscriptions_(subscriptions),
        queues_(queues),
        peer_queues_(peer_queues),
        retained_delivery_(retained_delivery),
        wills_(wills),
        handover_(handover),
        life_(life),
        peer_intake_(peer_intake),
        edge_links_(edge_links) {}

  const std::string& stored_clock() const { return stored_clock_; }

  void expect_sessions(std::size_t count) override;
  void session(base::SessionId id, std::string_view record) override;
  void queue(base::SessionId id, const StoredEntry& first, const StoredEntry& last) override;
  void received(base::SessionId id, std::uint16_t packet_id, std::string_view value) override;
  void retained(std::string_view key, std::string_view value) override;
  void applied(std::string_view key, std::string_view value) override;
  void forget(base::SessionId id) override;
  void forget_retained(std::string_view key) override;
  void forget_applied(std::string_view key) override;
  void record(std::string_view key, std::string_view value) override {
    if (LiveRecords* const r = records_for(key)) r->record(key, value);
  }
  void forget_record(std::string_view key) override {
    if (LiveRecords* const r = records_for(key)) r->forget_record(key);
  }
  // Before anything is restored; both outlive the core. Of uplinks: uplink_queue.h.
  void use_live_records(LiveRecords& r) { live_records_ = &r; }
  void use_uplink_records(LiveRecords& r) { uplink_records_ = &r; }
  // A connection that the edge has. Its input follows from `in_ack` on.
  void attach(const protocol::link::Attach& a, base::Instant now);
  // All connections are known: routes stand, inputs may run. Sessions that nobody holds any more go
  // offline; wills of devices that only our own end cut off get a grace.
  void attached_all(base::Instant now);

 private:
  LiveRecords* records_for(std::string_view key) {
    return key.starts_with(kUplinkRecords) ? uplink_records_ : live_records_;
  }
  // A record of the last release does not name its principal where user names are proven.
  std::string key_of_record(const pb::Session& r) const;
  // The same of a connection: its cookie has the user name.
  std::string key_of_cookie(Channel& ch, const pb::ChannelIdentity& id);
  void restore_peer_record(const MetaKey& k, std::string_view key, std::string_view value);
  void restore_identity(Channel& ch, const pb::ChannelIdentity& id);
  // False: its session is lost or another connection's, the connection ends.
  bool reattach(Channel& ch, const protocol::link::Attach& a, base::Instant now);
  void restore_connection(Channel& ch, const protocol::link::Cookie& cookie);
  void restore_volatile(Channel& ch, Session& s, const protocol::link::Cookie& cookie);
  // Without a cookie all up to sent_max may have been sent; a CONNECT that will be replayed has
  // sent nothing yet, and its connection has not ended.
  void settle_sequence(Session& s);

  const Ports& ports_;
  Retained& retained_;
  Estates& estates_;
  ConnectionTable& connections_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  Clients& clients_;
  ReplayLog& replay_;
  SessionRecords& records_;
  CookieWriter& cookies_;
  SubscriptionBook& subscriptions_;
  DeliveryQueues& queues_;
  PeerQueues& peer_queues_;
  RetainedDelivery& retained_delivery_;
  Wills& wills_;
  SharedHandover& handover_;
  SessionLife& life_;
  PeerIntake& peer_intake_;
  EdgeLinks& edge_links_;
  boost::unordered_flat_map<std::uint64_t, std::pair<StoredEntry, StoredEntry>> orphan_queues_;
  std::string stored_clock_;
  LiveRecords* live_records_ = nullptr;  // null: nobody wants them
  LiveRecords* uplink_records_ = nullptr;
};

}  // namespace berth::session
