// Channels, the input loop, and what waits for commits.
#include "session/broker.h"
#include "session/events.h"

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "protocol/mqtt/faults.h"
#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/reason_text.h"

namespace berth::session {

using protocol::link::CloseReason;
using protocol::link::CookieSlot;
using protocol::mqtt::Frame;
using protocol::mqtt::FrameStatus;
using protocol::mqtt::PacketType;
using protocol::mqtt::Reason;

namespace {
constexpr std::uint8_t kConnectHeader = 0x10;
}  // namespace

Broker::Broker(BrokerOptions options, Effects& effects, const AccessPolicy* access,
               metrics::EngineProbe& probe)
    : ContextOwner{{std::move(options), effects, probe}},
      Room(cx_),
      holdings_(options_.holdings),
      sources_(options_.partitions),
      gate_(cx_, access) {}

Broker::~Broker() = default;

std::size_t Broker::input(base::ConnId conn, base::ByteView bytes, base::Instant now) {
  Channel* ch = connections_.find(conn);
  if (ch == nullptr) return bytes.size();
  if (ch->resting) return 0;  // more bytes are no reason to be before others that rest
  const WorksFor scope = works_for(conn);
  clients_.end_soon(*ch);
  if (ch->state == Channel::State::closing) return bytes.size();
  if (!budget_.begin_share()) {  // others, and heartbeats, have their turn
    connections_.go_on_later(*ch);
    return 0;
  }
  if (ch->retained) retained_delivery_.go_on(*ch, now);
  std::size_t used = 0;
  while (!ch->stalled && ch->state != Channel::State::closing) {
    Packet p;
    if (cut_packet(*ch, bytes.subspan(used), p) != Cut::complete) break;
    const bool was_free = ch->live() && !gated(*ch);
    const std::uint64_t before = ch->in_off;
    ch->in_off += p.size;
    budget_.take(TurnBudget::kPacket);
    if (!dispatch(*ch, p, now)) {
      ch->in_off = before;
      break;
    }
    // What came before one that waits has taken effect in this turn and is acknowledged with it.
    if (was_free && used != 0 && gated(*ch)) effects_.acknowledge(conn, before);
    used += p.size;
    if (budget_.share_spent() && !ch->stalled) {
      connections_.go_on_later(*ch);
      break;
    }
  }
  if (ch->live() && used != 0 && !gated(*ch)) effects_.acknowledge(conn, ch->in_off);
  return ch->state == Channel::State::closing ? bytes.size() : used;
}

// The next packet of the protocol that the connection speaks; its first byte tells which.
Cut Broker::cut_packet(Channel& ch, base::ByteView bytes, Packet& out) {
  if (bytes.empty()) return Cut::need_more;
  if (!ch.live() && !ch.park) {
    if (bytes[0] == protocol::park::kMagic0) park_front_.begin(ch);
    if (!ch.park && bytes[0] != kConnectHeader) {
      clients_.fail(
          ch, Reason::protocol_error, CloseReason::protocol_error,  // neither: say so at once
          fmt::format("the first byte is 0x{:02x}: neither CONNECT nor a frame of Park", bytes[0]));
      return Cut::failed;
    }
  }
  if (ch.park) {
    const Cut cut = park_front_.cut(ch, bytes, out.park);
    out.size = out.park.size;
    return cut;
  }
  const Cut cut = mqtt_front_.cut(ch, bytes, out.mqtt);
  out.size = out.mqtt.size;
  return cut;
}

// False: the packet was not taken; it is offered again when the channel goes on.
bool Broker::dispatch(Channel& ch, const Packet& p, base::Instant now) {
  return ch.park ? park_front_.on_frame(ch, p.park, now) : mqtt_front_.on_packet(ch, p.mqtt, now);
}

void Broker::rested(base::ConnId conn) {
  if (Channel* ch = connections_.find(conn)) ch->resting = false;
}

// False: it has to wait for writes that it made. Only its retained message has been kept meanwhile.
bool Broker::run(Deferred& d, base::Instant now) {
  const WorksFor scope = works_for(d.work_word());
  if (d.kind == Deferred::Kind::call) {
    d.call(now);
    if (route_book_.call_waits()) return true;
  } else if (d.kind == Deferred::Kind::publish) {
    const MessageView m = d.message->view();
    MessageView retained = m;
    retained.stamp = d.stamp;
    if (m.retain && !std::exchange(d.kept, true)) retained_delivery_.keep(retained, now);
    if (d.fanout) {
      wide_fanouts_.spread(std::move(d), now);
      return true;
    }
    Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
    const Match& matched = distributor_.match(m.topic);
    if (distributor_.spill(matched, delivery, d, SpillPhase::run)) {
      if (Channel* ch = m.qos == 2 ? connections_.find(d.conn) : nullptr)
        replay_.record_spilled(*ch, d);
      return false;
    }
    distributor_.deliver(matched, delivery, &d, now);
    if (d.call) d.call(now);
  }
  Channel* ch = connections_.find(d.conn);
  if (ch == nullptr) return true;
  if (ch->state != Channel::State::closing) {
    clients_.answer(*ch, d);
    if (ch->live()) effects_.acknowledge(d.conn, d.in_off);
  }
  clients_.end_deferral(*ch);
  return true;
}

void Broker::refused(Session& s) {
  events::taken_over(*s.channel, nullptr);
  clients_.fail(*s.channel, Reason::session_taken_over, CloseReason::taken_over);
}

void Broker::closed(base::ConnId conn, CloseReason cause) {
  const WorksFor scope = works_for(conn);
  Channel* ch = connections_.find(conn);
  if (ch == nullptr) {
    effects_.release(conn);
    return;
  }
  ch->closed = cause;
  ch->gone = true;
  ch->retained.reset();  // nobody reads it any more
  clients_.end_soon(*ch);
}

void Broker::edge_acked(base::ConnId conn, std::uint64_t in_ack) {
  if (Channel* ch = connections_.find(conn)) ch->edge_in_ack = in_ack;
}

void Broker::writable(base::ConnId conn, base::Instant now) {
  Channel* ch = connections_.find(conn);
  if (ch == nullptr || !ch->live() || ch->session == nullptr) return;
  const WorksFor scope = works_for(conn);
  ch->waiting_room = false;
  budget_.begin_share();
  if (ch->retained) retained_delivery_.go_on(*ch, now);
  if (ch->live()) queues_.pump(*ch->session, now);
}

// -- replay: the outcome of an input that a dead engine committed but whose step was not accepted

void Broker::queue_loaded(base::SessionId id, std::uint64_t ticket,
                          base::result<std::vector<StoredEntry>> entries, base::Instant now) {
  if (sessions_.by_id(id) != nullptr && estates_.has(id))
    return handover_.loaded(id, ticket, entries);
  queues_.loaded(id, ticket, std::move(entries), now);
}

std::vector<std::uint64_t> Broker::missing_edges() const {
  return {replay_.stored_edges().begin(), replay_.stored_edges().end()};
}

// -- cookies

void Broker::end_turn(base::Instant now) {
  if (may_have_work_) work(now);
  if (life_.any_ending()) {
    budget_.begin_turn();
    life_.end_connections(now);
  }
  flush_state();
  connections_.free_forgotten();
  budget_.begin_turn();
}

void Broker::flush_state() {
  if (park_front_.any_acks_due()) park_front_.flush_acks();
  if (cookies_.any_changed()) cookies_.flush();
}

// -- the table of sessions

const Session* Broker::find_session(std::string_view client_id) const {
  return sessions_.by_client(client_id);
}

}  // namespace berth::session
