#include "session/core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "session/events.h"
#include "session/meta_keys.h"
#include "session/peer_tag.h"

namespace berth::session {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {

constexpr std::int64_t kPart = TurnBudget::kTurn / 4;  // of a turn, for each kind of such work

}  // namespace

Core::Core(Context& cx, const AccessPolicy* access, const Ports& ports)
    : Room(cx),
      cx_(cx),
      ports_(ports),
      holdings(options_.holdings),
      sources(options_.partitions),
      gate(cx, access) {
  restorer.use_uplink_records(uplinks);
}

void Core::attached_all(base::Instant now) {
  started_at_ = now;
  restorer.attached_all(now);
  // Edges that come and go call EdgeLinks::attached(); these have been there from the beginning.
  for (std::uint32_t link = 0; link < options_.edge_ids.size(); ++link) edge_words.listed(link);
}

void Core::end_turn(base::Instant now) {
  if (may_have_work_) work(now);
  if (!life.any_ending()) return;
  budget_.begin_turn();
  life.end_connections(now);
}

// False: it has to wait for writes that it made. Only its retained message has been kept meanwhile.
bool Core::run(Deferred& d, base::Instant now) {
  const WorksFor scope = works_for(d.work_word());
  if (d.kind == Deferred::Kind::call) {
    d.call(now);
    if (route_book.call_waits()) return true;
  } else if (d.kind == Deferred::Kind::publish) {
    const MessageView m = d.message->view();
    MessageView retained = m;
    retained.stamp = d.stamp;
    if (m.retain && !std::exchange(d.kept, true)) retained_delivery.keep(retained, now);
    if (d.fanout) {
      wide_fanouts.spread(std::move(d), now);
      return true;
    }
    Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
    const Match& matched = distributor.match(m.topic);
    if (distributor.spill(matched, delivery, d, SpillPhase::run)) {
      if (Channel* ch = m.qos == 2 ? connections.find(d.conn) : nullptr)
        replay.record_spilled(*ch, d);
      return false;
    }
    distributor.deliver(matched, delivery, &d, now);
    if (d.call) d.call(now);
  }
  Channel* ch = connections.find(d.conn);
  if (ch == nullptr) return true;
  if (ch->state != Channel::State::closing) {
    clients.answer(*ch, d);
    if (ch->live()) effects_.acknowledge(d.conn, d.in_off);
  }
  clients.end_deferral(*ch);
  return true;
}

void Core::refused(Session& s) {
  events::taken_over(*s.channel, nullptr);
  clients.fail(*s.channel, Reason::session_taken_over, CloseReason::taken_over);
}

void Core::closed(base::ConnId conn, CloseReason cause) {
  const WorksFor scope = works_for(conn);
  Channel* ch = connections.find(conn);
  if (ch == nullptr) {
    edge_words.release(conn);
    return;
  }
  ch->closed = cause;
  ch->gone = true;
  ch->retained.reset();  // nobody reads it any more
  clients.end_soon(*ch);
}

void Core::edge_acked(base::ConnId conn, std::uint64_t in_ack) {
  if (Channel* ch = connections.find(conn)) ch->edge_in_ack = in_ack;
}

void Core::writable(base::ConnId conn, base::Instant now) {
  Channel* ch = connections.find(conn);
  if (ch == nullptr || !ch->live() || ch->session == nullptr) return;
  const WorksFor scope = works_for(conn);
  ch->waiting_room = false;
  budget_.begin_share();
  if (ch->retained) retained_delivery.go_on(*ch, now);
  if (ch->live()) queues.pump(*ch->session, now);
}

void Core::told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate,
                base::Instant now) {
  if (protocol::link::is_command(tag)) return edge_words.told(conn, tag, fate);
  queues.segment_expired(conn, tag, now);
}

void Core::queue_loaded(base::SessionId id, std::uint64_t ticket,
                        base::result<std::vector<StoredEntry>> entries, base::Instant now) {
  const Session* const s = sessions.by_id(id);
  if (s != nullptr && s->uplink != 0) return uplinks.loaded(*s, ticket, entries, now);
  if (s != nullptr && estates.has(id)) return handover.loaded(id, ticket, entries);
  queues.loaded(id, ticket, std::move(entries), now);
}

bool Core::look_for_work() const {
  const bool parts = !staging.empty() || retained_delivery.is_filling();
  const bool late =
      std::any_of(connections.edges().begin(), connections.edges().end(),
                  [](const Edge& e) { return !e.late.empty() && e.late.front().turn <= e.taken; });
  const bool timers = life.any_timer_due();
  const bool heirs = edge_links.serving() && estates.waiting() != 0 && estates.may_read();
  const bool clock = edge_links.serving() && (timers || wills.any_due());
  const bool writes = parts || heirs || clock || life.any_ending_in_store() || login.any_waits() ||
                      retained_delivery.is_removing();
  return commits.has_due() || wide_fanouts.is_spreading() || late || !clients.ending().empty() ||
         (writes && commits.has_room());
}

// Whether it can be done now or not.
bool Core::anything_waits() const {
  const bool timers = life.any_timer_due();
  return commits.has_deferred() || !staging.empty() || retained_delivery.is_filling() ||
         wide_fanouts.is_spreading() || life.any_ending() || login.any_waits() || wills.any_due() ||
         retained_delivery.is_removing() || estates.waiting() != 0 || timers ||
         distributor.has_late();
}

// What runs here may end the shell's turn and so come back: the outer call goes on with the rest.
void Core::work(base::Instant now) {
  if (in_work_) return;
  in_work_ = true;
  if (look_for_work()) work_some(now);
  in_work_ = false;
  may_have_work_ = anything_waits();
}

void Core::work_some(base::Instant now) {
  budget_.begin_turn(kPart);
  commits.run_due(now);
  budget_.begin_turn(kPart);
  retained_delivery.fill_some(now);
  wide_fanouts.stage_some(now);
  budget_.begin_turn(kPart);
  if (edge_links.serving()) handover.go_on(now);
  budget_.begin_turn(kPart);
  wide_fanouts.spread_some(now);
  budget_.begin_turn(kPart);
  if (edge_links.serving()) life.run_timers(now);
  if (edge_links.serving()) wills.publish_all_due(now);
  budget_.begin_turn(kPart);
  retained_delivery.remove_some(now);
  for (Edge& e : connections.edges()) distributor.send_late(e, now);
  login.call_some(now);
}

// Among the applied records; the release before does not look at it.
void Core::keep_clock(std::string_view reference) {
  commits.write({.kind = WriteKind::put_applied, .key = kClockKey, .value = reference});
}

void Core::tick(base::Instant now) {
  latest_ = now;
  usage.accounts().second();
  meter.resume_throttled();
  wills.publish_late(now);
  rights.end_credentials(now);
  queues.read_again();
  handover.read_again();
  uplinks.tick(now);
  if (partitioned()) {
    route_book.release_waits(now);
    route_book.sweep(now);
    retained_delivery.sweep_tombstones(now);
  }
  may_have_work_ = true;  // timers; and a look each second, whatever may have been missed
  budget_.begin_turn();
  life.run_timers(now);
  retained_delivery.sweep_expired(now);
  if (options_.sys_interval_s != 0 && now >= sys_at_) {
    publish_sys(now);
    sys_at_ = now.plus_s(options_.sys_interval_s);
  }
}

void Core::publish_sys(base::Instant now) {
  refresh_gauges();
  const auto put = [&](std::string_view name, const std::string& value) {
    const std::string topic = "$SYS/broker/" + std::string(name);
    const MessageView m{.topic = topic, .payload = value, .forwarded = {}, .retain = true};
    retained_delivery.keep(m, now);
    static constexpr PeerTag kOursOnly{};
    Delivery d{.message = m, .owned = {}, .publisher = {}};
    if (partitioned()) d.tag = &kOursOnly;  // each partition has figures of its own
    distributor.deliver(router.match(topic), d, nullptr, now);
  };
  put("version", "berth " + options_.version);
  put("uptime", std::to_string((now.ms - started_at_.ms) / 1000));
  put("clients/connected", std::to_string(sessions.online()));
  put("clients/total", std::to_string(sessions.size()));
  put("messages/received", std::to_string(probe_.rx_qos0 + probe_.rx_qos1 + probe_.rx_qos2));
  put("messages/sent", std::to_string(probe_.tx_qos0 + probe_.tx_qos1 + probe_.tx_qos2));
  put("messages/stored", std::to_string(sessions.queued()));
  put("subscriptions/count", std::to_string(sessions.subscriptions()));
  put("retained messages/count", std::to_string(retained.size()));
}

void Core::drain(base::Instant) {
  wills.begin_drain();
  connections.for_each([this](Channel& ch) {
    const WorksFor scope = works_for(ch.conn);
    clients.fail(ch, Reason::server_shutting_down, CloseReason::drained);
  });
}

std::uint64_t Core::put_into_queue(base::SessionId id, const MessageView& m,
                                   std::string_view slot) {
  BERTH_ASSERT(m.qos != 0);
  Session* s = sessions.by_id(id);
  if (s == nullptr || estates.has(id)) return 0;
  Channel* ch = s->channel;
  if (!s->persistent() && (ch == nullptr || !ch->live())) return 0;
  const WorksFor scope = works_for(ch == nullptr ? base::kNoConn : ch->conn);
  Delivery d{.message = m, .owned = {}, .publisher = {}};
  const std::uint64_t before = s->flow().last_seq;
  queues.append(*s, d, m.qos, false, {}, slot);
  const std::uint64_t seq = s->flow().last_seq == before ? 0 : s->flow().last_seq;
  if (ch == nullptr || s->persistent()) return seq;
  cookies.changed(*ch, protocol::link::CookieSlot::volatile_state);
  if (!effects_.writable(ch->conn)) ch->waiting_room = true;
  return seq;
}

std::uint64_t Core::put_note(std::uint32_t partition, std::string_view note) {
  Session* const peer = sessions.by_client(peer_client_id(partition));
  if (peer == nullptr) return 0;
  Delivery d{.message = {.topic = kNoteTopic, .payload = note, .forwarded = {}, .qos = 1},
             .owned = {},
             .publisher = {}};
  const std::uint64_t before = peer->flow().last_seq;
  peer_queues.stage(*peer, d, 0, false);
  return peer->flow().last_seq == before ? 0 : peer->flow().last_seq;
}

void Core::refresh_gauges() {
  std::uint64_t peers = 0;
  std::uint64_t peers_online = 0;
  probe_.peer_queued = 0;
  for (std::uint32_t p = 0; partitioned() && p < options_.partitions; ++p) {
    const Session* s = sessions.by_client(peer_client_id(p));
    if (s == nullptr) continue;
    ++peers;
    peers_online += s->channel != nullptr || s->limbo ? 1 : 0;
    probe_.peer_queued += s->flow().queued;
  }
  probe_.sessions = sessions.online() - std::min(sessions.online(), peers_online);
  probe_.sessions_offline =
      sessions.size() - estates.size() - peers - sessions.uplinks().size() - probe_.sessions;
  probe_.subscriptions = sessions.subscriptions();
  probe_.retained = retained.size();
  probe_.queued_now = sessions.queued();
  probe_.queued_bytes_now = sessions.queued_bytes();
  probe_.held_bytes = sessions.holdings().all().bytes();
}

}  // namespace berth::session
