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

#include "base/clocks.h"
#include "base/string_map.h"
#include "metrics/probe.h"
#include "protocol/link/types.h"
#include "protocol/messages/envelope.h"
#include "protocol/mqtt/codec.h"
#include "protocol/park/frame.h"
#include "session/access.h"
#include "session/broker_options.h"
#include "session/broker_types.h"
#include "session/device_messages.h"
#include "session/effects.h"
#include "session/estates.h"
#include "session/fair_queue.h"
#include "session/message_times.h"
#include "session/peer_tag.h"
#include "session/principals.h"
#include "session/quota.h"
#include "session/retained_removal.h"
#include "session/router.h"
#include "session/scope.h"
#include "session/session.h"
#include "session/store.h"
#include "session/take_over_fights.h"
#include "session/turn_budget.h"

namespace berth::session {

namespace pb {
class ChannelIdentity;
class Session;
class VolatileState;
class Will;
}  // namespace pb

class Broker : public RestoreSink, private BrokerTypes {
 public:
  Broker(BrokerOptions options, Effects& effects, const AccessPolicy* access,
         metrics::EngineProbe& probe);
  ~Broker() override;
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // -- before serving: what the store holds
  void expect_sessions(std::size_t count) override;
  void session(base::SessionId id, std::string_view record) override;
  void queue(base::SessionId id, const StoredEntry& first, const StoredEntry& last) override;
  void received(base::SessionId id, std::uint16_t packet_id, std::string_view value) override;
  void retained(std::string_view key, std::string_view value) override;
  void applied(std::string_view key, std::string_view value) override;
  void forget(base::SessionId id) override;
  void forget_retained(std::string_view key) override;
  void forget_applied(std::string_view key) override;

  // -- from the edge
  void attach(const protocol::link::Attach& a, base::Instant now);
  // The edges that are to be waited for have attached: routes stand, inputs may run.
  void attached_all(base::Instant now);
  // Returns the bytes consumed; the rest (part of a packet, or all after a stall) is offered again
  // with more bytes, or after Effects::resume(). Nothing is consumed between resume() and rested().
  std::size_t input(base::ConnId conn, base::ByteView bytes, base::Instant now);
  void rested(base::ConnId conn);  // what Effects::resume() asked for follows at once
  void edge_acked(base::ConnId conn, std::uint64_t in_ack);  // what the edge says of in_ack
  void closed(base::ConnId conn, protocol::link::CloseReason cause);
  void writable(base::ConnId conn, base::Instant now);
  // The edge has dropped delivery `tag` (Deadline::tag) unsent: it is finished, its packet id free.
  // Effects::expired_taken() when that is durable; until then the notice may come again.
  void segment_expired(base::ConnId conn, std::uint64_t tag, base::Instant now);

  // -- edges that come and go (broker_edges.cc). An edge that comes gives its connections with
  // attach(), then edge_attached(). After attached_all() that is to be called for all of them
  // (again): their inputs may run when `done` is called, the edge is in the store then, for the
  // engine after us.
  // `internal`: it carries other partitions' bridges only and is not waited for by successors.
  void edge_came(std::uint32_t link, std::uint64_t edge_id, bool internal = false);
  void edge_attached(std::uint32_t link, base::Instant now, std::function<void()> done);
  // The link broke: the edge may come back with its connections, so nobody is told of an end. What
  // it has not accepted has not happened and will be said again.
  void edge_lost(std::uint32_t link, base::Instant now);
  // It will not come back. Its connections have ended, not by their devices' will.
  void edge_gone(std::uint32_t link, base::Instant now);
  // The edge has applied all turns up to number `turn`. True: that has made something to send.
  bool accepted(std::uint32_t link, std::uint64_t turn, base::Instant now);
  bool has_late() const;  // copies wait for accepted()
  // Edges that the engine before us served and that have not attached yet.
  std::vector<std::uint64_t> missing_edges() const;

  // -- other partitions (broker_peers.cc, bridge.h). `source`: the partition a message comes from.
  // It numbers its messages anew.
  void begin_source(std::uint32_t source);
  // `seq` 0: QoS 0. Taken once for each number; `done` when it is durable.
  void publish_from(std::uint32_t source, std::uint64_t seq, const PeerTag& tag,
                    const MessageView& m, base::Instant now, std::function<void()> done);
  // It has killed engines: it is taken, and nobody gets it (I12). Of source kWillSource: a will
  // whose publication was begun, known before attached_all().
  void skip_forwarded(protocol::link::ForwardedWork w);
  // What our sessions have subscribed to: raw filters, as they come and go. Each change has the
  // next number; routes_reached() says up to which a partition knows them.
  void watch_routes(std::function<void(std::string_view raw, bool added)> f);
  void for_each_route(const std::function<void(std::string_view raw)>& f) const;
  std::uint64_t route_number() const { return route_number_; }
  void routes_reached(std::uint32_t source, std::uint64_t number, base::Instant now);

  // -- answers to Effects
  void authenticated(base::ConnId conn, AuthResult result, base::Instant now);
  void queue_loaded(base::SessionId id, std::uint64_t ticket,
                    base::result<std::vector<StoredEntry>> entries, base::Instant now);

  // -- tenants and what they use. Before anything is restored.
  void use_registry(const Principals& registry);
  const Accounts& accounts() const { return accounts_; }
  // What other partitions say they use; replaces what they said before.
  void use_elsewhere(const std::vector<UsageOf>& others);

  void use_messages(DeviceMessages& m) { messages_ = &m; }

  // -- the registry has changed: quotas at once; connections that have no Scope any more end, and
  // sessions of devices that are gone or elsewhere, when they are reviewed, a few at a time: 2 us
  // each. `removed`: for remove_sessions(); of who has been removed, whoever has the name now.
  using Ids = std::vector<base::SessionId>;
  Ids concerned(const Concerned& who, Ids& removed);
  void review_scopes(const Principals& registry, const Ids& sessions, base::Instant now);
  void remove_sessions(const Ids& sessions, base::Instant now);
  // Behind these: ends what is retained at these filters (RetainedRemoval), a part in each turn.
  void remove_retained(std::vector<std::string> filters, base::Instant now);

  // -- rules and users of files have changed; null: everything is allowed. under_access(): to be
  // reviewed, a few at a time. `is_user`: may still log in as when it did; empty: everybody may.
  void use_access(const AccessPolicy* access);
  std::vector<base::SessionId> under_access() const;
  void review_access(const Ids& sessions, const std::function<bool(std::string_view)>& is_user);

  // -- commits. At the end of a turn the shell seals the open batch, if there is one, and commits
  // it; batches commit in order, committed() is called once for each.
  std::shared_ptr<const Batch> seal();
  void committed(const CommitResult& result, base::Instant now);
  MessageTimes& times() { return times_; }
  bool has_uncommitted() const { return !open_.writes->empty() || !sealed_.empty(); }

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
  base::Instant messages_at(base::Instant now) const { return clocks_.messages_at(now); }
  // The clock's reference: for the engine after us, and of the one before us (empty: none).
  void keep_clock(std::string_view reference);
  const std::string& stored_clock() const { return stored_clock_; }
  void drain(base::Instant now);  // DISCONNECT 0x8B and close for all; wills held
  void refresh_gauges();

  std::size_t session_count() const { return by_id_.size(); }
  std::size_t channel_count() const { return channel_count_; }
  const Session* find_session(std::string_view client_id) const;

 private:
  // broker.cc: channels, the input loop, deferral
  WorksFor works_for(base::ConnId conn) { return {effects_.work(), conn}; }
  WorksFor works_for(std::uint64_t word) { return {effects_.work(), word}; }
  WorksFor works_for(const Deferred& d) {
    return d.conn == base::kNoConn ? works_for(d.work) : works_for(d.conn);
  }
  Channel* find(base::ConnId conn);
  Channel& make_channel(base::ConnId conn);
  template <class F>
  void for_each_channel(F&& f) {
    for (const auto& slots : channels_) {
      for (const auto& ch : slots) {
        if (ch) f(*ch);
      }
    }
  }
  enum class Cut : std::uint8_t { complete, need_more, failed };
  Cut cut_packet(Channel& ch, base::ByteView bytes, Packet& out);
  bool dispatch(Channel& ch, const Packet& p, base::Instant now);
  bool on_connected_packet(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  static bool gated(const Channel& ch) { return ch.pending != 0; }
  void stall(Channel& ch) { ch.stalled = true; }
  void unstall(Channel& ch);
  void go_on_later(Channel& ch);
  void defer(Channel& ch, Deferred d);
  void defer_call(Channel& ch, std::function<void(base::Instant)> call);
  bool run(Deferred& d, base::Instant now);

  // broker_work.cc: work that takes more than one turn
  void work(base::Instant now);
  void work_some(base::Instant now);
  bool anything_waits() const;
  bool may_write_record(Channel& ch);
  void call_some(base::Instant now);
  void run_due(base::Instant now);
  void run_due_lists(base::Instant now);
  void run_list(Due& due, base::Instant now);
  void put_back(Due& due, Deferred d);
  void end_deferral(Channel& ch);
  static bool is_fanout(const Match& m, std::uint8_t qos, std::size_t bytes) {
    const std::size_t n = m.targets.size() + m.groups.size();  // of a group one member
    return n > 1 && (n > Fanout::kReceivers || (qos != 0 && n * bytes > Fanout::kBytes));
  }
  bool may_fan_out(Channel& ch);
  void begin_fanout(const Match& m, Delivery& d, Deferred out, Fanout::Through through);
  void stage_some(base::Instant now);
  bool stage_part(Deferred& d);
  bool stage_some_groups(Deferred& d, Delivery& delivery);
  void stage_receiver(const Fanout::Receiver& r, Delivery& d);
  void spread(Deferred d, base::Instant now);
  void spread_some(base::Instant now);
  bool spread_part(Deferred& d, base::Instant now);
  void begin_fill(Channel& ch, RetainedFill fill);
  static std::string outcome_so_far(const RetainedFill& fill);
  static void go_on_filling(RetainedFill& fill, std::string_view so_far);
  void fill_some(base::Instant now);
  bool fill_part(RetainedFill& fill, base::Instant now);
  void run_timers(base::Instant now);
  void publish_due_wills(base::Instant now);
  bool staging_has_room() const { return open_.writes->bytes() < Fanout::kBatchBytes; }
  void submit(Deferred d, bool wrote, base::Instant now);
  std::size_t writes() const { return open_.writes->size(); }
  // What we say is within the device's Maximum Packet Size (3.1.2-24): first without what is
  // `optional`; head_ is empty when it is too large even so. `encode` writes to head_.
  template <class F>
  void encode_within(const Channel& ch, std::string_view optional, F&& encode) {
    const auto fits = [&] { return ch.packet_max == 0 || head_.size() <= ch.packet_max; };
    head_.clear();
    encode(optional);
    if (fits()) return;
    head_.clear();
    if (!optional.empty()) encode(std::string_view());
    if (!fits()) head_.clear();
  }
  // False: it does not fit, the connection ends.
  template <class F>
  bool say(Channel& ch, std::string_view optional, F&& encode) {
    encode_within(ch, optional, encode);
    if (head_.empty()) {
      fail(ch, protocol::mqtt::Reason::packet_too_large,
           protocol::link::CloseReason::frame_too_large);
      return false;
    }
    effects_.send(ch.conn, head_, {});
    return true;
  }
  void reply(Channel& ch, protocol::mqtt::PacketType type, std::uint32_t id,
             protocol::mqtt::Reason reason, Quota quota = Quota::none, const char* text = nullptr);
  void answer(Channel& ch, const Deferred& d);
  void fail(Channel& ch, protocol::mqtt::Reason reason, protocol::link::CloseReason why,
            std::string_view text = {});
  void end_soon(Channel& ch);
  void end_connections(base::Instant now);
  void forget(Channel& ch);
  void flush_state();
  void write(const Write& w) { open_.writes->add(w); }
  void dirty(Channel& ch, protocol::link::CookieSlot slot);
  void flush_cookies();
  std::uint64_t edge_of(base::ConnId conn) const { return edges_[conn.link()].id; }
  bool owned_by(const Session& s, const Channel& ch) const;
  base::ConnId conn_of(std::uint64_t edge,
                       std::uint64_t packed) const;  // kNoConn: not an edge of ours
  std::string applied_key(const Channel& ch, std::uint64_t offset) const;
  void record_applied(Channel& ch, std::string_view outcome, std::uint64_t offset);
  void record_applied(Channel& ch, std::string_view outcome) {
    record_applied(ch, outcome, ch.in_off);
  }
  void record_spilled(Channel& ch, const Deferred& d);
  const std::string* applied_outcome(const Channel& ch) const;
  Session& make_session(std::string_view client_id, base::SessionId id);
  void erase_session(Session& s);
  Session* by_id(base::SessionId id);
  Session* by_client(std::string_view client_id);

  // broker_connect.cc
  void on_connect(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  void refuse_connect(Channel& ch, protocol::mqtt::Version v, protocol::mqtt::Reason reason,
                      Quota quota = Quota::none, std::string_view why = {}, ComeBack when = {});
  bool refuse_publish(Channel& ch, const protocol::mqtt::PublishView& p,
                      protocol::mqtt::Reason reason, Quota quota, const char* text = nullptr);
  bool writes_record(const Channel& ch) const;
  bool has_unstaged(const Channel& ch) const;
  void let_in(Channel& ch, base::Instant now);
  void establish(Channel& ch, base::Instant now);
  void answer_connect(Channel& ch, bool present, bool wrote, base::Instant now);
  Session& claim_session(Channel& ch, bool& present, base::Instant now);
  void bind(Channel& ch, Session& s);
  void apply_connect(Channel& ch, Session& s, base::Instant now);
  static void use_fair_key(Channel& ch);
  void send_connack(Channel& ch, bool session_present, base::Instant now);
  void take_over(Session& s, const Channel& by, base::Instant now);
  std::string connack_properties(const Channel& ch) const;
  std::string assign_client_id();
  // broker_scopes.cc
  protocol::mqtt::Reason admit(Channel& ch, AuthResult& result);
  void adopt_unowned(std::string_view client_id, const std::string& key);
  void rename(Session& s, const std::string& key);
  bool admit_will(Channel& ch);
  Identity identity_of(const Channel& ch) const;
  bool enter_topic(Channel& ch, std::string_view topic, std::string_view& inside);
  protocol::mqtt::Reason enter_filter(Channel& ch, std::string_view wanted, std::string& raw) const;
  bool drop_unnamed(Session& s, const Scope& scope);
  void use_scope(Channel& ch, ScopePtr scope);
  void remove_session(Session& s, const char* why, base::Instant now);
  void remove_retained_some(base::Instant now);
  // broker_access.cc
  bool drop_unheard(Session& s);
  void forget_subscription(Session& s, const std::string& raw);
  static void guard_queue(Session& s);
  bool may_hear(const Channel& ch, std::string_view topic);
  bool review_resumed(Channel& ch);
  bool credential_good(Channel& ch, base::Instant now);
  void end_credentials(base::Instant now);
  // broker_quota.cc
  void join_account(Session& s, std::string_view site);
  void leave_account(Session& s);
  void count_queue(Session& s, std::int64_t bytes);
  void count_dropped(const Session& s);
  void count_online(Session& s, int change);
  Account* account_of(std::string_view inside);
  void count_retained(std::string_view topic, int change);
  bool may_retain(const MessageView& m, bool fresh);
  Quota admit_connection(Channel& ch, base::Instant now);
  Metered meter(Channel& ch, const protocol::mqtt::PublishView& p, base::Instant now);
  void wait_a_second(Channel& ch);
  void resume_slowed();

  // broker_holdings.cc
  void hold(Session& s, std::string_view principal);
  void hold_will(Will& w, const Session& s);
  void hold_again(Session& s, std::string_view principal);
  protocol::mqtt::Reason admit_holdings(Channel& ch);
  void make_place(const Channel& ch, base::Instant now);
  void replace_session(Session& s, const Channel& by, base::Instant now);
  bool keeps_filters(Session& s);
  void subscriptions_changed(Channel& ch);
  void filters_committed(Channel* ch);
  bool is_ragged(Session& s);
  bool will_must_wait(const std::string& intent, const std::shared_ptr<Will>& will,
                      base::Instant now);
  void publish_late_wills(base::Instant now);

  // broker_publish.cc
  bool on_publish(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  bool resolve_alias(Channel& ch, protocol::mqtt::PublishView& p);
  bool admit_qos2(Channel& ch, std::uint16_t packet_id, bool& fresh);
  // `id`: by which it is acknowledged, a packet id or a report's seq.
  void accept_publish(Channel& ch, const protocol::mqtt::PublishView& p, std::uint32_t id,
                      const Match& m, base::Instant now);
  const Match& match(std::string_view topic);
  void fan_out(Channel& ch, const Match& m, Delivery& d, Deferred out, bool fresh);
  void put_received(const Channel& ch, std::uint16_t packet_id);
  static std::string fanned_out_groups(std::int64_t through);
  std::optional<Fanout::Through> fanned_out_through(const Channel& ch) const;
  std::vector<base::SessionId> spilled_before(const Channel& ch) const;
  bool on_pubrel(Channel& ch, const protocol::mqtt::Frame& f);
  void defer_or_reply(Channel& ch, Deferred d);
  void defer_or_run(Channel& ch, Deferred d, bool wrote, base::Instant now);
  // broker_route.cc
  bool needs_staging(const Match& m, const Delivery& d);
  bool must_spill(Session& s, const Delivery& d, bool returns);
  void stage_durable(const Match& m, Delivery& d, Deferred& out, bool fresh);
  Publisher publisher_of(const Delivery& d);
  enum class Phase : std::uint8_t { staging, replayed, run };
  bool spill(const Match& m, Delivery& d, Deferred& out, Phase phase);
  bool crosses(const Session& s, const Delivery& d) const;
  void send_later(const Delivery& d, std::vector<LateCopies::To> to);
  void deliver_now(const Match& m, Delivery& d, const Deferred* staged, base::Instant now);
  void deliver_groups(const Match& m, Delivery& d, const Deferred* staged,
                      std::vector<LateCopies::To>& later, base::Instant now);
  void deliver_to(Session& s, SubOptions o, const std::vector<std::uint32_t>& ids, Delivery& d,
                  const Deferred* staged, std::vector<LateCopies::To>& later, base::Instant now);
  void stage_groups(const Match& m, Delivery& d, Deferred& out, bool fresh);
  void stage_group(SharedGroup& g, Delivery& d, Deferred& out, bool fresh = true);
  void pick_again(const Match& m, Delivery& d, Deferred& out);
  static bool is_own_result(const Session& s, std::string_view topic);
  static bool takes(const Target& t, const Delivery& d);
  static bool takes(const SharedGroup& g, const Delivery& d) {
    return d.tag == nullptr || (d.tag->group != 0 && d.tag->group == g.route);
  }
  Session* pick(SharedGroup& g, const Delivery& d, SubOptions& options, std::uint32_t& id);
  bool store_retained(const MessageView& m);
  void keep_retained(const MessageView& m, base::Instant now);
  void publish_internal(const MessageView& m, base::Instant now, std::function<void()> staged);
  // broker_deliver.cc
  void append_stored(Session& s, Delivery& d, std::uint8_t qos, bool retain,
                     const std::vector<std::uint32_t>& ids);
  bool make_room(Session& s, std::size_t bytes);
  void drop_entry(Session& s, std::uint64_t seq);
  void count_removed(Session& s);
  bool can_send_at_once(Session& s);
  void deliver_volatile(Session& s, Delivery& d, SubOptions options, bool retain,
                        const std::vector<std::uint32_t>& ids, base::Instant now);
  bool send_message(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                    std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                    base::Instant now);
  bool send_packet(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                   std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                   base::Instant now);
  void pump(Session& s, base::Instant now);
  bool pump_one(Session& s, Channel& ch, std::uint64_t seq, base::Instant now);
  void request_load(Session& s);
  void read_again();
  void finish_entry(Session& s, std::uint64_t seq);
  void trim(Session& s);
  OutEntry* entry_at(Session& s, std::uint64_t seq);
  bool on_ack(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  void release_entry(Session& s, OutEntry& e, std::uint64_t seq);
  void use_alias(Channel& ch, protocol::mqtt::PublishOut& out);
  static std::size_t length_field_bytes(const std::string& packet);
  void reserve_sent(Session& s);
  Outbox& outbox(Session& s);
  // broker_messages.cc
  static std::string_view envelope_properties(bool json);
  DeviceMessages::What translate(Channel& ch, protocol::mqtt::PublishView& p, base::Instant now);
  void translate_will(const Session& s, Will& w, base::Instant now);
  void address_command(Channel& ch, std::string_view said, protocol::mqtt::PublishView& p,
                       base::Instant now);
  const char* name_fault(Channel& ch, std::string_view said);
  // broker_park.cc
  static void begin_park(Channel& ch);
  static std::string park_root(const Channel& ch, std::string_view client_id);
  Cut cut_park(Channel& ch, base::ByteView bytes, protocol::park::Frame& out);
  bool on_park_frame(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  void on_handshake(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  void on_hello(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  void refuse_hello(Channel& ch, protocol::mqtt::Reason reason, Quota quota, std::string_view why,
                    ComeBack when = {});
  void subscribe_commands(Channel& ch, Session& s, bool present, base::Instant now);
  void send_welcome(Channel& ch, bool present, base::Instant now);
  static std::string resume_token(const Session& s);
  bool in_sequence(Channel& ch, const protocol::park::Frame& f);
  bool take_report(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  bool on_report(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  const char* report_fault(const Channel& ch, const protocol::park::Frame& f,
                           protocol::messages::EnvelopeView& e);
  void complete_report(const Channel& ch, const protocol::park::Frame& f,
                       const protocol::messages::EnvelopeView& e, base::Instant now);
  void refuse_report(Channel& ch, const protocol::park::Frame& f, protocol::mqtt::Reason reason,
                     Quota quota, const char* text = nullptr);
  void acknowledge_report(Channel& ch, std::uint32_t seq, protocol::mqtt::Reason reason,
                          Quota quota, const char* text);
  void send_acks(Channel& ch);
  void flush_acks();
  bool on_received(Channel& ch, std::uint32_t seq, base::Instant now);
  bool on_bye(Channel& ch);
  bool send_command(Channel& ch, const MessageView& m, std::uint8_t qos, bool dup,
                    std::uint16_t packet_id, base::Instant now);
  void say_end(Channel& ch, protocol::mqtt::Reason reason, Quota quota, std::string_view text,
               ComeBack when = {});
  std::int64_t wall_of_device(const Channel& ch, base::Instant now) const;

  // broker_subscribe.cc
  bool on_subscribe(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  bool on_unsubscribe(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  protocol::mqtt::Reason subscribe_one(Channel& ch, const protocol::mqtt::SubscriptionView& v,
                                       std::uint32_t id, std::string& raw, bool& fresh);
  bool add_subscription(Session& s, std::string_view raw, SubOptions options, std::uint32_t id);
  bool remove_subscription(Session& s, std::string_view raw);
  std::string raw_filter(const Subscription& sub);
  void drop_subscriptions(Session& s);
  void continue_retained(Channel& ch, base::Instant now);
  void queue_desired(Session& s, const RetainedItem& item, base::Instant now);
  bool retained_waits() const;
  RetainedTopics queue_waiting(Session& s, const std::deque<RetainedItem>& items,
                               base::Instant now);
  bool send_retained(Channel& ch, RetainedItem& item, MessagePtr message, base::Instant now);
  std::size_t filters_max(const Channel& ch) const;
  bool records_filters(const Channel& ch, std::size_t bytes) const;
  Subscribed subscribe_all(Channel& ch, const protocol::mqtt::SubscribeView& v,
                           const std::string& known);
  void fill_queue(Channel& ch, RetainedFill fill, bool fresh, const std::string& so_far,
                  base::Instant now);

  // broker_peers.cc
  bool partitioned() const { return options_.partitions > 1; }
  bool restore_peer_record(std::string_view key, std::string_view value);
  bool forget_peer_record(std::string_view key);
  void restore_routes();
  bool add_peer_route(Session& s, std::string_view raw, std::uint32_t generation);
  void remove_peer_route(Session& s, std::string_view raw);
  void on_peer_subscribe(Channel& ch, const protocol::mqtt::SubscribeView& v);
  void on_peer_unsubscribe(Channel& ch, const protocol::mqtt::UnsubscribeView& v);
  void write_nothing();
  void remember_taken(std::uint32_t source, std::uint64_t seq);
  // What is retained is kept for other partitions in their queues too, even with QoS 0.
  static bool kept_for_peers(const Delivery& d) { return d.message.qos != 0 || d.message.retain; }
  void stage_for_peer(Session& peer, Delivery& d, std::uint32_t group, bool retain_only);
  void stage_retained_for_peers(const Match& m, Delivery& d);
  bool send_to_peer(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                    std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                    base::Instant now);
  std::uint64_t next_stamp(base::Instant now);
  void sweep_tombstones(base::Instant now);
  void count_route(std::string_view raw, int change);
  void forget_route(const std::string& raw);
  void sweep_routes(base::Instant now);
  bool routes_known() const;
  std::uint64_t routes_known_through() const;
  void await_routes(Channel& ch, std::function<void(base::Instant)> call, bool in_call,
                    base::Instant now);
  void release_route_waits(base::Instant now);

  // broker_edges.cc
  void let_go(Channel& ch);
  void forget_lost_inputs(std::uint32_t link);
  static std::string edge_key(std::uint64_t edge_id);
  void remove_orphans_of(std::uint64_t edge_id);
  void remove_applied(const EdgeConn& conn, const AppliedList& list);
  void wake_channel(Channel& ch, base::Instant now);
  void send_late(Edge& e, base::Instant now);

  // broker_estates.cc
  static std::uint64_t fair_key_of(const Session& s);
  bool leave_estate(Session& s, base::Instant now);
  static void hold_in_memory(const Session& s, Estate& e);
  void await_estate(base::SessionId id, bool behind_commit, base::Instant now);
  bool restore_estate(Session& s, const pb::Session& r);
  void read_estates_again();
  void hand_on_some(base::Instant now);
  void end_estate(Session& s);
  void estate_loaded(base::SessionId id, std::uint64_t ticket,
                     const base::result<std::vector<StoredEntry>>& entries);
  void hand_on(Session& from, const Estate& e, const Estate::Held& h, base::Instant now);
  void hand_to(Session& to, SubOptions options, const std::vector<std::uint32_t>& ids, Delivery& d,
               base::Instant now);
  SharedGroup* group_of(const Estate& e, std::string_view topic, std::uint8_t mark);

  // broker_lifecycle.cc
  enum class EndBy : std::uint8_t { disconnect, device, us };  // us: the device had no part in it
  EndBy known_end(const Channel& ch, std::optional<protocol::link::CloseReason> cause) const;
  void settle_will(Session& s, EndBy end, base::Instant now);
  void end_connection_of(Session& s, EndBy end, base::Instant now);
  void detach(Channel& ch, protocol::link::CloseReason cause, base::Instant now);
  void finish_close(base::ConnId conn, protocol::link::CloseReason cause, base::Instant now);
  enum class WillOf : std::uint8_t { published, dropped };
  void end_session(Session& s, WillOf will, base::Instant now);
  void fire_will(Session& s, base::Instant now);
  void publish_will(const std::string& intent, const std::shared_ptr<Will>& will,
                    base::Instant now);
  void publish_due(const std::string& intent, const std::shared_ptr<Will>& will, base::Instant now);
  void settle_sequence(Session& s);
  void go_offline(Session& s, base::Instant now);
  void schedule(Session& s, base::Instant at) {
    timers_.push({at.ms, s.id.value});
    may_have_work_ = may_have_work_ || at <= latest_;
  }
  void on_timer(Session& s, base::Instant now);
  void sweep_expired(base::Instant now);
  void end_retained(const Retained::Expired& gone, base::Instant now);
  void publish_sys(base::Instant now);
  bool on_disconnect(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);

  // broker_records.cc
  void put_record(Session& s);
  static void will_to_pb(const Will& w, pb::Will& out);
  static std::unique_ptr<Will> will_from_pb(const pb::Will& in);
  static std::string encode_will(const Will& w);
  std::string encode_identity(Channel& ch);
  std::string encode_cookie(Channel& ch, protocol::link::CookieSlot slot);
  void subscriptions_to_pb(const Session& s, pb::VolatileState& v);
  std::string encode_subscriptions(const Session& s);
  std::string encode_volatile(Channel& ch);

  // broker_restore.cc
  std::string key_of_record(const pb::Session& r) const;
  std::string key_of_cookie(Channel& ch, const pb::ChannelIdentity& id);
  void restore_identity(Channel& ch, const pb::ChannelIdentity& id);
  bool reattach(Channel& ch, const protocol::link::Attach& a, base::Instant now);
  void restore_volatile(Channel& ch, Session& s, const protocol::link::Cookie& cookie);
  void restore_connection(Channel& ch, const protocol::link::Cookie& cookie);

  BrokerOptions options_;
  Effects& effects_;
  const AccessPolicy* access_;
  const Principals* registry_ = nullptr;
  DeviceMessages* messages_ = nullptr;  // null: nothing is translated
  metrics::EngineProbe& probe_;
  Router router_;
  Accounts accounts_;
  Holdings holdings_;                 // outlives all that holds something
  std::vector<base::ConnId> slowed_;  // wait_a_second()
  std::size_t slow_turns_ = 0;
  Retained retained_{[this](std::string_view topic, int n) { count_retained(topic, n); }};

  std::vector<Edge> edges_;                                      // by link
  std::vector<std::vector<std::unique_ptr<Channel>>> channels_;  // by link and slot of their ConnId
  std::size_t channel_count_ = 0;
  std::vector<base::ConnId> ending_, ending_stored_;  // closed; looked at when the turn ends
  std::vector<std::unique_ptr<Channel>> buried_;      // forgotten in this turn, see end_turn()
  std::vector<base::SessionId> unread_;  // whose queue could not be read: again at tick()
  std::vector<ExpiredSegment> expired_;  // whose entries are being read
  boost::unordered_flat_set<Session*, IdHash, IdEq> by_id_;  // owns them
  boost::unordered_flat_set<Session*, ClientHash, ClientEq> by_client_;

  FanoutPlaces fanouts_;  // before all that holds Fanouts
  OpenBatch open_;
  std::deque<OpenBatch> sealed_;
  std::deque<Due> due_;
  // Set wherever something comes to wait for a turn with time for it; cleared by work() when
  // nothing waits. A turn in which nothing waits costs one look at it.
  bool may_have_work_ = false;
  bool in_work_ = false;
  bool in_due_ = false;
  std::deque<Deferred> staging_;  // Fanouts, a part each in turn
  std::deque<Deferred> spreading_;
  std::deque<RetainedFill> filling_;
  FairQueue<base::ConnId> room_line_;  // CONNECTs and SUBSCRIBEs, until a batch has room
  RetainedRemoval removal_;
  Estates estates_;
  std::vector<base::SessionId> unread_estates_;  // again at tick()
  TurnBudget budget_;
  MessageTimes times_;
  TakeOverFights fights_;
  std::vector<base::ConnId> dirty_;
  std::vector<base::ConnId> acks_due_;  // of reports
  // Timers of sessions (expiry, will), oldest first; stale ones find nothing to do.
  std::priority_queue<std::pair<std::int64_t, std::uint64_t>,
                      std::vector<std::pair<std::int64_t, std::uint64_t>>, std::greater<>>
      timers_,
      credentials_due_;  // when credentials of connections end, conn
  // Found in the store before their connection was attached; what is left is deleted.
  boost::unordered_flat_map<EdgeConn, AppliedList> orphan_applied_;  // of connections not attached
  boost::unordered_flat_map<std::uint64_t, std::pair<StoredEntry, StoredEntry>> orphan_queues_;
  boost::unordered_flat_set<std::uint64_t> stored_edges_;  // ids
  std::vector<std::pair<std::string, std::unique_ptr<Will>>>
      due_wills_;                                           // intents found in the store
  boost::unordered_flat_set<std::uint64_t> skipped_wills_;  // numbers of intents that kill engines
  std::deque<std::pair<std::string, std::shared_ptr<Will>>> late_wills_;  // wait for a quota
  // -- other partitions
  std::vector<base::StringMap<std::uint32_t>>
      peer_routes_;                                     // by partition: raw filter -> generation
  std::map<std::string, std::uint32_t> stored_routes_;  // found in the store
  std::vector<Source> sources_;                         // by partition
  base::StringMap<Route> routes_;                       // by raw filter
  std::function<void(std::string_view, bool)> on_route_;
  std::deque<RouteWait> route_waits_;
  std::uint64_t route_number_ = 0;
  std::uint64_t moments_ = 0;  // counts what may change the way of a message to its receivers
  std::uint64_t last_stamp_ = 0;
  base::Instant latest_{};  // as of the last tick
  base::Clocks clocks_;
  std::string stored_clock_;
  std::string swept_;  // retained messages up to here have been looked at for expiry
  std::deque<std::pair<std::int64_t, std::string>> idle_routes_;  // since when, raw filter
  bool call_waits_on_ = false;

  HeadCache head_cache_;
  protocol::mqtt::Scratch scratch_;
  std::string head_;
  std::string entered_, left_;  // a topic as it is inside, and as a device calls it
  DeviceMessages::Out translated_;
  protocol::messages::Completer completer_;
  std::string report_topic_;
  std::string report_;   // a report's Envelope as it goes on
  std::string command_;  // what stands before a command's payload
  std::uint64_t next_session_ = 1, next_intent_ = 1;
  std::uint64_t load_tickets_ = 0;
  std::uint64_t queued_now_ = 0, queued_bytes_now_ = 0;
  std::uint64_t online_ = 0, subscriptions_ = 0;
  base::Instant started_at_{}, sys_at_{};
  bool draining_ = false;
  bool serving_ = false;  // attached_all() has been
};

}  // namespace berth::session
