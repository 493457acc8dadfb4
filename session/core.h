// The MQTT server of one shard without its protocols, sockets, threads or clocks: calls in, Effects
// out, time as an argument (docs/design.md; docs/ARCHITECTURE.md, "Rooms of the core"). Knows no
// packet of MQTT or Park: fronts call the rooms, and hear of them through ClientPort.
//
// Two phases. An input that must be durable *stages* its writes in the open batch at once; what the
// world may see of it (replies, copies to sessions that are not stored, the acknowledgement of the
// input) is *deferred* until that batch is committed (CommitPipeline). While a channel has deferred
// inputs (`gated`), all its further inputs are deferred behind them, so effects come in the order
// of inputs. Inputs that change what later inputs mean (CONNECT, SUBSCRIBE, UNSUBSCRIBE,
// DISCONNECT, a topic alias) stall the channel until the commit instead.
//
// Everything asked of Effects during one turn of the shell reaches the edge atomically, so a crash
// cuts between turns: a PUBLISH's copies and its PUBACK are never torn apart.
//
// One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/string_map.h"
#include "protocol/link/types.h"
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
#include "session/distributor.h"
#include "session/edge_links.h"
#include "session/edge_words.h"
#include "session/estates.h"
#include "session/intake.h"
#include "session/login.h"
#include "session/message_translator.h"
#include "session/meter.h"
#include "session/order_clock.h"
#include "session/peer_intake.h"
#include "session/peer_queues.h"
#include "session/peer_tag.h"
#include "session/quota.h"
#include "session/replay_log.h"
#include "session/restorer.h"
#include "session/retained_delivery.h"
#include "session/rights.h"
#include "session/route_book.h"
#include "session/router.h"
#include "session/session.h"
#include "session/session_life.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/shared_handover.h"
#include "session/store.h"
#include "session/subscription_book.h"
#include "session/tenant_usage.h"
#include "session/topic_gate.h"
#include "session/uplinks.h"
#include "session/wide_fanouts.h"
#include "session/wills.h"

namespace berth::session {

class Core final : private Room, private CommitSink, private AfterPump {
 public:
  // `cx`, `access` and `ports` outlive the core.
  Core(Context& cx, const AccessPolicy* access, const Ports& ports);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // -- from the edge
  void attached_all(base::Instant now);
  void edge_acked(base::ConnId conn, std::uint64_t in_ack);  // what the edge says of in_ack
  void closed(base::ConnId conn, protocol::link::CloseReason cause);
  void writable(base::ConnId conn, base::Instant now);
  // What has become of a packet with a deadline: of a command (EdgeWords), or of a delivery, which
  // is finished when it was dropped.
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate, base::Instant now);
  // Answer to Effects::load_queue().
  void queue_loaded(base::SessionId id, std::uint64_t ticket,
                    base::result<std::vector<StoredEntry>> entries, base::Instant now);

  // -- work that takes more than one turn (TurnBudget, turn_work.h): what waited for a commit,
  // PUBLISHes to many, retained messages for a queue, wills and the ends of sessions that are due
  // together. A part of each is done when a turn ends, then the others have their turn.
  bool has_work() const { return may_have_work_ && look_for_work(); }
  bool look_for_work() const;
  void end_turn(base::Instant now);
  void tick(base::Instant now);  // about once a second
  void drain(base::Instant now);
  // Puts a message into the queue of one session, whatever it has subscribed to. It is sent when
  // the open batch is committed; `slot`: see DeliveryQueues::append(). Its sequence number; 0:
  // there is no such session, it is offline and ends with its connection, or its queue is full.
  // REQUIRES: QoS 1 or 2.
  std::uint64_t put_into_queue(base::SessionId id, const MessageView& m, std::string_view slot);
  // A note of the platform side for another partition's (kNoteTopic): taken there once, in the
  // order of notes, when the open batch is committed. Its number in the queue; 0: the queue is
  // full.
  std::uint64_t put_note(std::uint32_t partition, std::string_view note);
  // Whether this partition decides what is decided once for all of them about `name`.
  bool is_home(std::string_view name) const {
    return protocol::link::partition_of(name, options_.partitions) == options_.partition;
  }
  // What the wall clock says, for people.
  std::int64_t wall_ms(base::Instant now) const { return clocks_.wall_at(now).ms; }
  void refresh_gauges();
  // Stores the clock's reference for the next engine, among the applied records.
  void keep_clock(std::string_view reference);

 private:
  Context& cx_;
  const Ports& ports_;

 public:
  // -- what several rooms share; before the rooms, for it outlives all that they hold
  Holdings holdings;
  FanoutPlaces fanouts;
  OrderClock order_clock;
  Router router;
  Retained retained{[this](std::string_view topic, int n) { usage.count_retained(topic, n); }};
  Estates estates;
  std::vector<Source> sources;   // by partition
  std::deque<Deferred> staging;  // PUBLISHes to many that are being staged, a part each in turn

  // -- rooms, from below
  ConnectionTable connections{cx_};
  TenantUsage usage{cx_};
  SessionTable sessions{cx_, usage, holdings};
  CommitPipeline commits{cx_, *this, connections, sessions};
  Clients clients{cx_, connections, commits};
  TopicGate gate;
  ReplayLog replay{cx_, connections, commits};
  SessionRecords records{cx_, router, estates, commits};
  CookieWriter cookies{cx_, connections, records};
  RouteBook route_book{cx_, *this};
  SubscriptionBook subscriptions{cx_,  router,     order_clock, sessions,
                                 gate, route_book, records,     cookies};
  Meter meter{cx_, retained, connections, usage, sessions};
  DeliveryQueues queues{cx_,     *this,   connections, usage, sessions,
                        commits, records, cookies,     gate,  clients};
  PeerQueues peer_queues{cx_, router, sessions, commits, records, queues};
  Uplinks uplinks{cx_, router, sessions, commits, records, queues};
  RetainedDelivery retained_delivery{cx_,      retained, staging, connections, usage,
                                     sessions, commits,  replay,  cookies,     queues};
  Distributor distributor{cx_,      router,  order_clock, sources,     connections, sessions,
                          commits,  cookies, queues,      peer_queues, uplinks};
  WideFanouts wide_fanouts{cx_,      fanouts, *this,   staging, connections,
                           sessions, commits, clients, replay,  distributor};
  MessageTranslator translator{cx_, usage};
  Wills wills{cx_,   staging,     commits,           records,     translator,
              meter, peer_queues, retained_delivery, distributor, wide_fanouts};
  SharedHandover handover{cx_,           estates, sessions,    commits,    records,
                          subscriptions, queues,  peer_queues, distributor};
  EdgeWords edge_words{cx_};
  SessionLife life{cx_,     connections,   usage,  sessions, commits, clients,  replay,
                   records, subscriptions, queues, wills,    estates, handover, edge_words};
  Rights rights{cx_, connections, usage, sessions, clients, records, cookies, subscriptions, life};
  Login login{cx_,        connections,  usage,   sessions,   commits,       gate,
              translator, records,      cookies, route_book, subscriptions, meter,
              queues,     wide_fanouts, wills,   life,       rights};
  Intake intake{cx_,    order_clock, connections, commits,           clients,     gate,
                replay, meter,       peer_queues, retained_delivery, distributor, wide_fanouts};
  PeerIntake peer_intake{cx_,        sources,           estates,     commits,
                         route_book, retained_delivery, distributor, wills};
  EdgeLinks edge_links{cx_,        staging, connections,       sessions,     commits, replay,
                       route_book, queues,  retained_delivery, wide_fanouts, life,    edge_words};
  Restorer restorer{cx_,      ports_,        retained, estates,     connections,
                    sessions, commits,       clients,  replay,      records,
                    cookies,  subscriptions, queues,   peer_queues, retained_delivery,
                    wills,    handover,      life,     peer_intake, edge_links};

 private:
  bool run(Deferred& d, base::Instant now) override;
  void durable(Session& s, base::Instant now) override {
    s.uplink != 0 ? uplinks.durable(s) : queues.pump(s, now);
  }
  void refused(Session& s) override;
  void after_pump(Channel& ch, base::Instant now) override { retained_delivery.go_on(ch, now); }
  void work(base::Instant now);
  void work_some(base::Instant now);
  bool anything_waits() const;  // whether it can be done now or not
  void publish_sys(base::Instant now);

  bool in_work_ = false;
  base::Instant started_at_{};
  base::Instant sys_at_{};
};

}  // namespace berth::session
