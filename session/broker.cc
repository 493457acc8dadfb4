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
constexpr std::size_t kConnectPacketMax = 64 * 1024;
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
  const Cut cut = cut_mqtt(ch, bytes, out.mqtt);
  out.size = out.mqtt.size;
  return cut;
}

Cut Broker::cut_mqtt(Channel& ch, base::ByteView bytes, Frame& out) {
  const std::size_t limit = ch.live() ? options_.packet_max : kConnectPacketMax;
  const FrameStatus status = protocol::mqtt::next_frame(bytes, limit, out);
  if (status == FrameStatus::complete) return Cut::complete;
  if (status == FrameStatus::need_more) return Cut::need_more;
  if (status == FrameStatus::too_large) {
    const auto type = static_cast<PacketType>(bytes[0] >> 4);
    clients_.fail(ch, Reason::packet_too_large, CloseReason::frame_too_large,
                  protocol::mqtt::text_of_size(type, out.size, limit));
  } else {
    clients_.fail(ch, Reason::malformed_packet, CloseReason::protocol_error,
                  "a Remaining Length of more than 4 bytes");
  }
  return Cut::failed;
}

// False: the packet was not taken; it is offered again when the channel goes on.
bool Broker::dispatch(Channel& ch, const Packet& p, base::Instant now) {
  return ch.park ? park_front_.on_frame(ch, p.park, now) : on_packet(ch, p.mqtt, now);
}

bool Broker::on_packet(Channel& ch, const Frame& f, base::Instant now) {
  if (ch.live()) return on_connected_packet(ch, f, now);
  if (f.type() != PacketType::connect) {
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,  // 3.1.0-1
                  protocol::mqtt::name_of(f.type()) + " before CONNECT");
    return true;
  }
  on_connect(ch, f, now);
  return true;
}

bool Broker::on_connected_packet(Channel& ch, const Frame& f, base::Instant now) {
  switch (f.type()) {
    case PacketType::publish:
      return on_publish(ch, f, now);
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubcomp:
      return on_ack(ch, f, now);
    case PacketType::pubrel:
      return on_pubrel(ch, f);
    case PacketType::subscribe:
      return on_subscribe(ch, f, now);
    case PacketType::unsubscribe:
      return on_unsubscribe(ch, f, now);
    case PacketType::disconnect:
      return on_disconnect(ch, f, now);
    case PacketType::pingreq:  // the edge has answered
      if (f.header != 0xc0 || !f.body.empty()) {
        clients_.fail(ch, Reason::malformed_packet, CloseReason::protocol_error,
                      "PINGREQ with flags or a body");
      } else if (gated(ch)) {
        commits_.defer(ch, {});
      }
      return true;
    default:
      clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                    protocol::mqtt::text_of_unexpected(f.type()));
      return true;
  }
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

void Broker::acknowledge(Channel& ch, PacketType type, std::uint32_t packet_id, Reason reason,
                         Quota quota, const char* why) {
  if (type == PacketType::puback && ch.unacked_in != 0) --ch.unacked_in;
  const auto id = static_cast<std::uint16_t>(packet_id);
  std::string said;
  if (quota != Quota::none && ch.problem_info) {
    said = text_of(quota);
  } else if (why != nullptr && ch.problem_info) {
    said = why;
  }
  say(ch, said, [&](std::string_view text) {
    protocol::mqtt::encode_ack(head_, type, ch.version, id, reason, text);
  });
  if (type == PacketType::pubrec && ch.session != nullptr && ch.session->received) {
    const auto it = ch.session->received->find(id);
    if (it != ch.session->received->end()) it->second.effective = true;
    if (!ch.session->persistent()) cookies_.changed(ch, CookieSlot::volatile_state);
  }
}

void Broker::farewell(Channel& ch, Reason reason, std::string_view text) {
  if (!ch.live() || !ch.v5()) return;
  if (text.empty()) text = text_of(reason);
  encode_within(ch, ch.problem_info ? text : "", [&](std::string_view said) {
    protocol::mqtt::encode_disconnect(head_, reason, said);
  });
  if (!head_.empty()) effects_.send(ch.conn, head_, {});
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
