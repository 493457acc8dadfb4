// The MQTT server of one shard, without sockets, threads or clocks: input in, Effects out, time as
// an argument (docs/design.md). Owns sessions, channels, routes and retained messages.
//
// Two phases. An input that must be durable *stages* its writes in the open batch at once; what the
// world may see of it (replies, copies to sessions that are not stored, the acknowledgement of the
// input) is *deferred* until that batch is committed. While a channel has deferred inputs
// (`gated`), all its further inputs are deferred behind them, so effects come in the order of
// inputs. Inputs that change what later inputs mean (CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, a
// topic alias) stall the channel until the commit instead.
//
// Everything asked of Effects during one turn of the shell reaches the edge atomically, so a crash
// cuts between turns: a PUBLISH's copies and its PUBACK are never torn apart.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/string_map.h"
#include "front/mqtt_front.h"
#include "front/mqtt_publish_writer.h"
#include "front/park_front.h"
#include "front/peer_front.h"
#include "protocol/link/types.h"
#include "protocol/messages/envelope.h"
#include "protocol/mqtt/codec.h"
#include "protocol/park/frame.h"
#include "session/access.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/device_messages.h"
#include "session/distributor.h"
#include "session/edge_links.h"
#include "session/estates.h"
#include "session/fair_queue.h"
#include "session/intake.h"
#include "session/login.h"
#include "session/message_translator.h"
#include "session/meter.h"
#include "session/order_clock.h"
#include "session/peer_intake.h"
#include "session/peer_queues.h"
#include "session/peer_tag.h"
#include "session/principals.h"
#include "session/quota.h"
#include "session/replay_log.h"
#include "session/restorer.h"
#include "session/retained_delivery.h"
#include "session/retained_removal.h"
#include "session/rights.h"
#include "session/route_book.h"
#include "session/router.h"
#include "session/scope.h"
#include "session/session.h"
#include "session/session_life.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/shared_handover.h"
#include "session/store.h"
#include "session/subscription_book.h"
#include "session/take_over_fights.h"
#include "session/tenant_usage.h"
#include "session/topic_gate.h"
#include "session/wide_fanouts.h"
#include "session/wills.h"

namespace berth::session {

namespace pb {
class ChannelIdentity;
class Session;
class VolatileState;
class Will;
}  // namespace pb

struct ContextOwner {
  Context cx_;
};

class Broker : private ContextOwner,
               private Room,
               private CommitSink,
               private AfterPump {
 public:
  Broker(BrokerOptions options, Effects& effects, const AccessPolicy* access,
         metrics::EngineProbe& probe);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // -- before serving: what the store holds
  RestoreSink& restore_sink() { return restorer_; }

  // -- from the edge
  void attach(const protocol::link::Attach& a, base::Instant now) { restorer_.attach(a, now); }
  // The edges that are to be waited for have attached: routes stand, inputs may run.
  void attached_all(base::Instant now) {
    started_at_ = now;
    restorer_.attached_all(now);
  }
  // Returns the bytes consumed; the rest (part of a packet, or all after a stall) is offered again
  // with more bytes, or after Effects::resume(). Nothing is consumed between resume() and rested().
  std::size_t input(base::ConnId conn, base::ByteView bytes, base::Instant now);
  void rested(base::ConnId conn);  // what Effects::resume() asked for follows at once
  void edge_acked(base::ConnId conn, std::uint64_t in_ack);  // what the edge says of in_ack
  void closed(base::ConnId conn, protocol::link::CloseReason cause);
  void writable(base::ConnId conn, base::Instant now);

  // -- edges that come and go (broker_edges.cc). An edge that comes gives its connections with
  // attach(), then edge_attached(). After attached_all() that is to be called for all of them
  // (again): their inputs may run when `done` is called, the edge is in the store then, for the
  // engine after us.
  // `internal`: it carries other partitions' bridges only and is not waited for by successors.
  void edge_came(std::uint32_t link, std::uint64_t edge_id, bool internal = false) {
    edge_links_.came(link, edge_id, internal);
  }
  void edge_attached(std::uint32_t link, base::Instant now, std::function<void()> done) {
    edge_links_.attached(link, now, std::move(done));
  }
  void edge_lost(std::uint32_t link, base::Instant now) { edge_links_.lost(link, now); }
  void edge_gone(std::uint32_t link, base::Instant now) { edge_links_.gone(link, now); }
  // The edge has applied all turns up to number `turn`. True: that has made something to send.
  bool accepted(std::uint32_t link, std::uint64_t turn, base::Instant now) {
    return distributor_.accepted(link, turn, now);
  }
  bool has_late() const { return distributor_.has_late(); }  // copies wait for accepted()
  // Edges that the engine before us served and that have not attached yet.
  std::vector<std::uint64_t> missing_edges() const;

  // -- other partitions (broker_peers.cc, bridge.h). `source`: the partition a message comes from.
  // It numbers its messages anew.
  void begin_source(std::uint32_t source) { peer_intake_.begin_source(source); }
  void publish_from(std::uint32_t source, std::uint64_t seq, const PeerTag& tag,
                    const MessageView& m, base::Instant now, std::function<void()> done) {
    peer_intake_.publish(source, seq, tag, m, now, std::move(done));
  }
  // It has killed engines: it is taken, and nobody gets it (I12). Of source kWillSource: a will
  // whose publication was begun, known before attached_all().
  void skip_forwarded(protocol::link::ForwardedWork w) { peer_intake_.skip(w); }
  // What our sessions have subscribed to: raw filters, as they come and go. Each change has the
  // next number; routes_reached() says up to which a partition knows them.
  void watch_routes(std::function<void(std::string_view raw, bool added)> f) {
    route_book_.watch(std::move(f));
  }
  void for_each_route(const std::function<void(std::string_view raw)>& f) const {
    route_book_.for_each(f);
  }
  std::uint64_t route_number() const { return route_book_.number(); }
  void routes_reached(std::uint32_t source, std::uint64_t number, base::Instant now) {
    route_book_.reached(source, number, now);
  }

  // -- answers to Effects
  void authenticated(base::ConnId conn, AuthResult result, base::Instant now) {
    login_.authenticated(conn, std::move(result), now);
  }
  void queue_loaded(base::SessionId id, std::uint64_t ticket,
                    base::result<std::vector<StoredEntry>> entries, base::Instant now);

  // -- tenants and what they use. Before anything is restored.
  void use_registry(const Principals& registry) { usage_.use_registry(registry); }
  const Accounts& accounts() const { return usage_.accounts(); }
  // What other partitions say they use; replaces what they said before.
  void use_elsewhere(const std::vector<UsageOf>& others) { usage_.use_elsewhere(others); }

  // Rules of files have changed; null: everything is allowed. under_access(): to be reviewed.
  void use_access(const AccessPolicy* access) { gate_.use_access(access); }
  void use_messages(DeviceMessages& m) { translator_.use(m); }

  // -- the registry has changed: quotas at once; connections that have no Scope any more end, and
  // sessions of devices that are gone or elsewhere, when they are reviewed, a few at a time: 2 us
  // each. `removed`: for remove_sessions(); of who has been removed, whoever has the name now.
  using Ids = std::vector<base::SessionId>;
  Ids concerned(const Concerned& who, Ids& removed) { return rights_.concerned(who, removed); }
  void review_scopes(const Principals& registry, const Ids& sessions, base::Instant now) {
    rights_.review_scopes(registry, sessions, now);
  }
  void remove_sessions(const Ids& sessions, base::Instant now) {
    rights_.remove_sessions(sessions, now);
  }
  Ids under_access() const { return rights_.under_access(); }
  void review_access(const Ids& sessions, const std::function<bool(std::string_view)>& is_user) {
    rights_.review_access(sessions, is_user);
  }
  // Behind these: ends what is retained at these filters (RetainedRemoval), a part in each turn.
  void remove_retained(std::vector<std::string> filters, base::Instant now) {
    retained_delivery_.remove(std::move(filters), now);
  }

  // -- rules and users of files have changed; null: everything is allowed. under_access(): to be
  // reviewed, a few at a time. `is_user`: may still log in as when it did; empty: everybody may.

  // -- commits. At the end of a turn the shell seals the open batch, if there is one, and commits
  // it; batches commit in order, committed() is called once for each.
  std::shared_ptr<const Batch> seal() { return commits_.seal(); }
  void committed(const CommitResult& result, base::Instant now) { commits_.committed(result, now); }
  MessageTimes& times() { return times_; }
  bool has_uncommitted() const { return commits_.has_uncommitted(); }

  // -- a turn's work is bounded (TurnBudget). The shell begins a turn's budget anew before it
  // offers again what waited for it, and stops when the turn is spent; fair_key() tells whose turn
  // a connection's is. has_work(): work for a turn without new input (a flag spares the look).
  void begin_turn() { budget_.begin_turn(); }
  bool turn_spent() const { return budget_.spent(); }
  std::uint64_t fair_key(base::ConnId conn);
  bool has_work() const { return may_have_work_ && look_for_work(); }
  bool look_for_work() const;

  // -- end of a turn: work that has waited, connections that end, acknowledgements of reports,
  // changed cookie slots (with options.replay). A channel's memory is freed here and only here.
  void end_turn(base::Instant now);
  void tick(base::Instant now);  // about once a second
  // `now` is the time that deadlines of sessions and wills are counted by. How far other clocks are
  // ahead of it: at first, and when that changes.
  void use_clocks(const base::Clocks& c) { clocks_ = c; }
  using Room::messages_at;
  // The clock's reference: for the engine after us, and of the one before us (empty: none).
  void keep_clock(std::string_view reference);
  const std::string& stored_clock() const { return restorer_.stored_clock(); }
  void drain(base::Instant now);  // DISCONNECT 0x8B and close for all; wills held
  void refresh_gauges();

  std::size_t session_count() const { return sessions_.size(); }
  std::size_t channel_count() const { return connections_.count(); }
  const Session* find_session(std::string_view client_id) const;

 private:
  // broker.cc: channels, the input loop, deferral
  Cut cut_packet(Channel& ch, base::ByteView bytes, Packet& out);
  bool dispatch(Channel& ch, const Packet& p, base::Instant now);
  bool run(Deferred& d, base::Instant now) override;
  void durable(Session& s, base::Instant now) override { queues_.pump(s, now); }
  void refused(Session& s) override;
  void after_pump(Channel& ch, base::Instant now) override { retained_delivery_.go_on(ch, now); }

  // broker_work.cc: work that takes more than one turn
  void work(base::Instant now);
  void work_some(base::Instant now);
  bool anything_waits() const;
  void flush_state();

  // broker_connect.cc
  // broker_scopes.cc
  // broker_access.cc
  // broker_quota.cc

  // broker_holdings.cc

  // broker_publish.cc
  // broker_route.cc
  // broker_deliver.cc
  // broker_messages.cc
  // broker_park.cc

  // broker_subscribe.cc

  // broker_peers.cc

  // broker_edges.cc

  // broker_estates.cc

  // broker_lifecycle.cc
  void publish_sys(base::Instant now);

  // broker_records.cc

  // broker_restore.cc

  // -- what several rooms share; before the rooms, for it outlives all that they hold
  Holdings holdings_;
  FanoutPlaces fanouts_;
  OrderClock order_clock_;
  Router router_;
  Retained retained_{[this](std::string_view topic, int n) { usage_.count_retained(topic, n); }};
  Estates estates_;
  std::vector<Source> sources_;   // by partition
  std::deque<Deferred> staging_;  // PUBLISHes to many that are being staged, a part each in turn

  const Ports ports_{mqtt_front_, park_front_};

  // -- rooms, from below
  ConnectionTable connections_{cx_};
  TenantUsage usage_{cx_};
  SessionTable sessions_{cx_, usage_, holdings_};
  CommitPipeline commits_{cx_, *this, connections_, sessions_};
  Clients clients_{cx_, connections_, commits_};
  TopicGate gate_;
  ReplayLog replay_{cx_, connections_, commits_};
  SessionRecords records_{cx_, router_, estates_, commits_};
  CookieWriter cookies_{cx_, connections_, records_};
  RouteBook route_book_{cx_, *this};
  SubscriptionBook subscriptions_{cx_,   router_,     order_clock_, sessions_,
                                  gate_, route_book_, records_,     cookies_};
  Meter meter_{cx_, retained_, connections_, usage_, sessions_};
  DeliveryQueues queues_{cx_,      *this,    connections_, usage_, sessions_,
                         commits_, records_, cookies_,     gate_,  clients_};
  PeerQueues peer_queues_{cx_, router_, sessions_, commits_, records_, queues_};
  RetainedDelivery retained_delivery_{cx_,       retained_, staging_, connections_, usage_,
                                      sessions_, commits_,  replay_,  cookies_,     queues_};
  Distributor distributor_{cx_,       router_,  order_clock_, sources_, connections_,
                           sessions_, commits_, cookies_,     queues_,  peer_queues_};
  WideFanouts wide_fanouts_{cx_,       fanouts_, *this,    staging_, connections_,
                            sessions_, commits_, clients_, replay_,  distributor_};
  MessageTranslator translator_{cx_, usage_};
  Wills wills_{cx_,    staging_,     commits_,           records_,     translator_,
               meter_, peer_queues_, retained_delivery_, distributor_, wide_fanouts_};
  SharedHandover handover_{cx_,     estates_,     sessions_,   commits_, records_, subscriptions_,
                           queues_, peer_queues_, distributor_};
  SessionLife life_{cx_,      connections_,   usage_,  sessions_, commits_, clients_, replay_,
                    records_, subscriptions_, queues_, wills_,    estates_, handover_};
  Rights rights_{cx_,      connections_, usage_,         sessions_, clients_,
                 records_, cookies_,     subscriptions_, life_};
  Login login_{cx_,           connections_, usage_,      sessions_,      commits_, gate_,
               records_,      cookies_,     route_book_, subscriptions_, meter_,   queues_,
               wide_fanouts_, wills_,       life_,       rights_};
  Intake intake_{cx_,    order_clock_, connections_,       commits_,     clients_,     replay_,
                 meter_, peer_queues_, retained_delivery_, distributor_, wide_fanouts_};
  PeerIntake peer_intake_{cx_,         sources_,           estates_,     commits_,
                          route_book_, retained_delivery_, distributor_, wills_};
  EdgeLinks edge_links_{cx_,         staging_, connections_,       sessions_,     commits_, replay_,
                        route_book_, queues_,  retained_delivery_, wide_fanouts_, life_};
  Restorer restorer_{cx_,       ports_,         retained_, estates_,     connections_,
                     sessions_, commits_,       clients_,  replay_,      records_,
                     cookies_,  subscriptions_, queues_,   peer_queues_, retained_delivery_,
                     wills_,    handover_,      life_,     peer_intake_, edge_links_};
  MqttPublishWriter writer_{cx_, cookies_};
  PeerFront peer_front_{cx_, connections_, commits_, peer_queues_, writer_};
  ParkFront park_front_{cx_,
                        connections_,
                        commits_,
                        clients_,
                        gate_,
                        records_,
                        cookies_,
                        subscriptions_,
                        meter_,
                        queues_,
                        retained_delivery_,
                        distributor_,
                        wide_fanouts_,
                        translator_,
                        intake_};
  MqttFront mqtt_front_{cx_,          router_,        connections_, sessions_, commits_,
                        clients_,     gate_,          replay_,      records_,  cookies_,
                        route_book_,  subscriptions_, meter_,       queues_,   retained_delivery_,
                        distributor_, wide_fanouts_,  translator_,  login_,    intake_,
                        peer_front_,  writer_};
  // -- not in a room yet
  bool in_work_ = false;

  base::Instant started_at_{};
  base::Instant sys_at_{};
};

}  // namespace berth::session
