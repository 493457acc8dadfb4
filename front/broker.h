// The MQTT server of one shard as its shell sees it: the core (session/core.h) with the protocols
// that clients speak, and the loop over their input. Without sockets, threads or clocks: input in,
// Effects out, time as an argument (docs/design.md). One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clocks.h"
#include "front/cut.h"
#include "front/mqtt_front.h"
#include "front/mqtt_publish_writer.h"
#include "front/park_front.h"
#include "front/peer_front.h"
#include "metrics/probe.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/framer.h"
#include "protocol/park/frame.h"
#include "session/access.h"
#include "session/core.h"
#include "session/effects.h"
#include "session/store.h"

namespace berth::session {

// Cut from a connection's input: of the one protocol or the other.
struct Packet {
  protocol::mqtt::Frame mqtt;
  protocol::park::Frame park;
  std::size_t size = 0;
};

class Broker {
 public:
  Broker(BrokerOptions options, Effects& effects, const AccessPolicy* access,
         metrics::EngineProbe& probe);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // -- before serving: what the store holds
  RestoreSink& restore_sink() { return core_.restorer; }
  // For the platform side (platform/), which works beside the protocols.
  Core& core() { return core_; }
  Context& context() { return cx_; }

  // -- from the edge
  void attach(const protocol::link::Attach& a, base::Instant now) { core_.restorer.attach(a, now); }
  // The edges that are to be waited for have attached: routes stand, inputs may run.
  void attached_all(base::Instant now) { core_.attached_all(now); }
  // Returns the bytes consumed; the rest (part of a packet, or all after a stall) is offered again
  // with more bytes, or after Effects::resume(). Nothing is consumed between resume() and rested().
  std::size_t input(base::ConnId conn, base::ByteView bytes, base::Instant now);
  // The shell calls this directly before it offers input again that Effects::resume() asked for.
  void rested(base::ConnId conn);
  // The edge knows that input up to `in_ack` is acknowledged: it does not replay it.
  void edge_acked(base::ConnId conn, std::uint64_t in_ack) { core_.edge_acked(conn, in_ack); }
  void closed(base::ConnId conn, protocol::link::CloseReason cause) { core_.closed(conn, cause); }
  // What has become of a packet with a deadline. Effects::told_taken() when what follows from it is
  // durable; until then this may come again. Of commands: also before attached_all().
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate, base::Instant now) {
    core_.told(conn, tag, fate, now);
  }
  void pending(base::ConnId conn, std::uint64_t tag) { core_.edge_words.pending(conn, tag); }
  void writable(base::ConnId conn, base::Instant now) { core_.writable(conn, now); }

  // -- edges that come and go. After edge_came() the shell calls attach() for each connection of
  // the edge, then edge_attached(). After attached_all() the shell calls edge_attached() for each
  // edge (again). `done` runs when the edge's id is in the store, for the engine after us; then its
  // inputs may run. Before attached_all() `done` is not called.
  // `internal`: the edge carries other partitions' bridges only; successors do not wait for it.
  // REQUIRES: the link is not present and its connections are forgotten; a link keeps its edge_id.
  void edge_came(std::uint32_t link, std::uint64_t edge_id, bool internal = false) {
    core_.edge_links.came(link, edge_id, internal);
  }
  void edge_attached(std::uint32_t link, base::Instant now, std::function<void()> done) {
    core_.edge_links.attached(link, now, std::move(done));
  }
  void edge_lost(std::uint32_t link, base::Instant now) { core_.edge_links.lost(link, now); }
  void edge_gone(std::uint32_t link, base::Instant now) { core_.edge_links.gone(link, now); }
  // The edge has applied all turns up to number `turn`. True: that has made something to send.
  bool accepted(std::uint32_t link, std::uint64_t turn, base::Instant now) {
    return core_.distributor.accepted(link, turn, now);
  }
  bool has_late() const { return core_.distributor.has_late(); }  // copies wait for accepted()
  // Edges that the previous engine served and that have not attached yet.
  std::vector<std::uint64_t> missing_edges() const;

  // -- other partitions (bridge.h). `source`: the partition a message comes from.
  // It numbers its messages anew.
  void begin_source(std::uint32_t source) { core_.peer_intake.begin_source(source); }
  void publish_from(std::uint32_t source, std::uint64_t seq, const PeerTag& tag,
                    const MessageView& m, base::Instant now, std::function<void()> done) {
    core_.peer_intake.publish(source, seq, tag, m, now, std::move(done));
  }
  // The message has killed engines (I12): it is marked as taken and delivered to no session. With
  // kWillSource as its source it is a will whose publication has begun: call this before
  // attached_all().
  void skip_forwarded(protocol::link::ForwardedWork w) { core_.peer_intake.skip(w); }
  // What our sessions have subscribed to: raw filters, as they come and go. Each change has the
  // next number; routes_reached() says up to which a partition knows them.
  void watch_routes(std::function<void(std::string_view raw, bool added)> f) {
    core_.route_book.watch(std::move(f));
  }
  void for_each_route(const std::function<void(std::string_view raw)>& f) const {
    core_.route_book.for_each(f);
  }
  std::uint64_t route_number() const { return core_.route_book.number(); }
  void routes_reached(std::uint32_t source, std::uint64_t number, base::Instant now) {
    core_.route_book.reached(source, number, now);
  }

  // -- answers to Effects
  void authenticated(base::ConnId conn, AuthResult result, base::Instant now) {
    core_.login.authenticated(conn, std::move(result), now);
  }
  void queue_loaded(base::SessionId id, std::uint64_t ticket,
                    base::result<std::vector<StoredEntry>> entries, base::Instant now) {
    core_.queue_loaded(id, ticket, std::move(entries), now);
  }

  // -- tenants and what they use. Before anything is restored.
  void use_registry(const Principals& registry) { core_.usage.use_registry(registry); }
  const Accounts& accounts() const { return core_.usage.accounts(); }
  // What other partitions say they use; replaces what they said before.
  void use_elsewhere(const std::vector<UsageOf>& others) { core_.usage.use_elsewhere(others); }

  // Rules of files have changed; null: everything is allowed. under_access(): to be reviewed.
  void use_access(const AccessPolicy* access) { core_.gate.use_access(access); }
  void use_messages(DeviceMessages& m) { core_.translator.use(m); }

  // -- the registry has changed. Quotas change at once. concerned() lists sessions; review_scopes()
  // closes connections without a Scope and ends sessions of devices that were removed or moved to
  // another site. The shell gives it a few sessions at a time: 2 us each. `removed`: sessions of
  // removed principals, for remove_sessions(), even if the name is registered anew.
  using Ids = std::vector<base::SessionId>;
  Ids concerned(const Concerned& who, Ids& removed) { return core_.rights.concerned(who, removed); }
  void review_scopes(const Principals& registry, const Ids& sessions, base::Instant now) {
    core_.rights.review_scopes(registry, sessions, now);
  }
  void remove_sessions(const Ids& sessions, base::Instant now) {
    core_.rights.remove_sessions(sessions, now);
  }
  // What an operator wishes, see Rights.
  bool disconnect(base::SessionId id) { return core_.rights.disconnect(id); }
  bool remove_session(base::SessionId id, base::Instant now) {
    return core_.rights.remove(id, now);
  }
  Ids under_access() const { return core_.rights.under_access(); }
  void review_access(const Ids& sessions, const std::function<bool(std::string_view)>& is_user) {
    core_.rights.review_access(sessions, is_user);
  }
  // After these: removes the retained messages that match the filters (RetainedRemoval), a part in
  // each turn.
  void remove_retained(std::vector<std::string> filters, base::Instant now) {
    core_.retained_delivery.remove(std::move(filters), now);
  }

  Uplinks& uplinks() { return core_.uplinks; }

  // Puts a message into the queue of one session, see Core.
  std::uint64_t put_into_queue(base::SessionId id, const MessageView& m, std::string_view slot) {
    return core_.put_into_queue(id, m, slot);
  }

  // -- what happens to sessions, and to packets of commands; `o` outlives the Broker.
  void watch_sessions(SessionEvents& o) { core_.sessions.watch(o); }
  void watch_commands(CommandWords& o) { core_.edge_words.watch(o); }
  // The answer to CommandWords::told().
  void command_word_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) {
    core_.edge_words.taken(conn, tag, fate);
  }

  // -- commits. At the end of a turn the shell seals the open batch, if there is one, and commits
  // it. Batches commit in order. committed(): the oldest sealed batch is durable. REQUIRES: seal()
  // returned it, result.error is not set; once for each batch, in order.
  std::shared_ptr<const Batch> seal() { return core_.commits.seal(); }
  void committed(const CommitResult& result, base::Instant now) {
    core_.commits.committed(result, now);
  }
  MessageTimes& times() { return cx_.times; }
  bool has_uncommitted() const { return core_.commits.has_uncommitted(); }
  // seal() would return a batch. What has been written and is in no hurry waits until hurry().
  bool wants_commit() const { return core_.commits.wants_commit(); }
  void hurry() { core_.commits.hurry(); }

  // -- a turn's work is bounded (TurnBudget). The shell begins a turn's budget anew before it
  // offers again what waited for it, and stops when the turn is spent; fair_key() tells whose turn
  // a connection's is. has_work(): work for a turn without new input (a flag spares the look).
  void begin_turn() { cx_.budget.begin_turn(); }
  bool turn_spent() const { return cx_.budget.spent(); }
  std::uint64_t fair_key(base::ConnId conn);
  bool has_work() const { return core_.has_work(); }
  bool look_for_work() const { return core_.look_for_work(); }

  // -- end of a turn: work that has waited, connections that end, acknowledgements of reports,
  // changed cookie slots (with options.replay). A channel's memory is freed here and only here.
  void end_turn(base::Instant now);
  void tick(base::Instant now) { core_.tick(now); }  // about once a second
  // `now` is the time that deadlines of sessions and wills are counted by. How far other clocks are
  // ahead of it: at first, and when that changes.
  void use_clocks(const base::Clocks& c) { cx_.clocks = c; }
  base::Instant messages_at(base::Instant now) const { return cx_.clocks.messages_at(now); }
  // The clock's reference: for the next engine, and of the previous one (empty: none).
  void keep_clock(std::string_view reference) { core_.keep_clock(reference); }
  const std::string& stored_clock() const { return core_.restorer.stored_clock(); }
  // DISCONNECT 0x8B and close for all; wills held.
  void drain(base::Instant now) { core_.drain(now); }
  void refresh_gauges() { core_.refresh_gauges(); }

  std::size_t session_count() const { return core_.sessions.size(); }
  std::size_t channel_count() const { return core_.connections.count(); }
  const Session* find_session(std::string_view client_id) const {
    return core_.sessions.by_client(client_id);
  }

 private:
  Cut cut_packet(Channel& ch, base::ByteView bytes, Packet& out);
  bool dispatch(Channel& ch, const Packet& p, base::Instant now);

  Context cx_;
  const Ports ports_{mqtt_front_, park_front_};
  Core core_;
  MqttPublishWriter writer_{cx_, core_.cookies, core_.edge_words};
  PeerFront peer_front_{cx_, core_.connections, core_.commits, core_.peer_queues, writer_};
  ParkFront park_front_{cx_,
                        core_.connections,
                        core_.commits,
                        core_.clients,
                        core_.gate,
                        core_.records,
                        core_.cookies,
                        core_.subscriptions,
                        core_.queues,
                        core_.retained_delivery,
                        core_.translator,
                        core_.intake,
                        core_.edge_words};
  MqttFront mqtt_front_{cx_,
                        core_.router,
                        core_.connections,
                        core_.commits,
                        core_.clients,
                        core_.gate,
                        core_.replay,
                        core_.records,
                        core_.cookies,
                        core_.route_book,
                        core_.subscriptions,
                        core_.meter,
                        core_.queues,
                        core_.retained_delivery,
                        core_.distributor,
                        core_.translator,
                        core_.login,
                        core_.intake,
                        peer_front_,
                        writer_};
};

}  // namespace berth::session
