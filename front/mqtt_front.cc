#include "front/mqtt_front.h"

#include "protocol/mqtt/faults.h"
#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/reason_text.h"
#include "session/events.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Frame;
using mqtt::FrameStatus;
using mqtt::PacketType;
using mqtt::Property;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kConnectPacketMax = 64 * 1024;

}  // namespace

Cut MqttFront::cut(Channel& ch, base::ByteView bytes, Frame& out) {
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

bool MqttFront::on_packet(Channel& ch, const Frame& f, base::Instant now) {
  if (ch.live()) return on_connected_packet(ch, f, now);
  if (f.type() != PacketType::connect) {
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,  // 3.1.0-1
                  protocol::mqtt::name_of(f.type()) + " before CONNECT");
    return true;
  }
  on_connect(ch, f, now);
  return true;
}

bool MqttFront::on_connected_packet(Channel& ch, const Frame& f, base::Instant now) {
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

bool MqttFront::on_ack(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  mqtt::AckView a;
  const Reason error = mqtt::decode_ack(f, ch.version, a);
  if (error != Reason::success) {
    clients_.fail(ch, error, CloseReason::protocol_error, mqtt::text_of_fault(f, error));
    return true;
  }
  Session& s = *ch.session;
  const std::uint64_t seq = seq_of(a.packet_id, s.flow().first_seq);
  OutEntry* e = seq <= s.flow().sent_seq ? entry_at(s, seq) : nullptr;
  const bool of_qos1 = f.type() == PacketType::puback;
  if (e != nullptr && e->state != EntryState::done && (e->qos == 1) != of_qos1) {  // 4.3.2, 4.3.3
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                  mqtt::name_of(f.type()) + " for packet id " + std::to_string(a.packet_id) +
                      ", which has another QoS");
    return true;
  }
  const std::size_t before = commits_.writes();
  Deferred d;
  d.packet_id = a.packet_id;
  if (f.type() == PacketType::pubrec) {
    if (e != nullptr && e->qos == 2 && static_cast<std::uint8_t>(a.reason) >= 0x80) {
      if (e->state != EntryState::done)
        queues_.finish(s, seq, Finished::refused);  // 4.3.3: no PUBREL
    } else {
      d.reply_type = PacketType::pubrel;
      const bool known = e != nullptr && e->qos == 2 && e->state != EntryState::done;
      if (!known && ch.v5()) d.reason = Reason::packet_identifier_not_found;
      if (known && e->state == EntryState::sent) queues_.release(s, *e, seq);
    }
  } else if (e != nullptr) {
    const bool puback =
        f.type() == PacketType::puback && e->qos == 1 && e->state == EntryState::sent;
    const bool pubcomp = f.type() == PacketType::pubcomp && e->state == EntryState::released;
    if (puback || pubcomp) {
      ++probe_.acked;
      queues_.finish(s, seq, Finished::acknowledged);
    }
  }
  if (!s.persistent()) cookies_.changed(ch, CookieSlot::volatile_state);
  if (commits_.writes() != before) {
    commits_.defer(ch, std::move(d));
  } else {
    clients_.defer_or_reply(ch, std::move(d));
  }
  if (s.outbox) queues_.pump(s, now);
  return true;
}

bool MqttFront::on_disconnect(Channel& ch, const mqtt::Frame& f, base::Instant) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  mqtt::DisconnectView v;
  const Reason e = mqtt::decode_disconnect(f, ch.version, v);
  if (e != Reason::success) {
    clients_.fail(ch, e, CloseReason::protocol_error, mqtt::text_of_fault(f, e));
    return true;
  }
  Session& s = *ch.session;
  if (v.properties.has(Property::session_expiry)) {
    const std::uint32_t asked = v.properties.session_expiry_s;
    if (s.asked_expiry_s() == 0 && asked != 0) {  // 3.14.2.2.2
      clients_.fail(
          ch, Reason::protocol_error, CloseReason::protocol_error,
          "DISCONNECT with a session expiry of " + std::to_string(asked) + ", CONNECT had 0");
      return true;
    }
    if (!s.ends_offline) s.expiry_s = std::min(asked, options_.session_expiry_max_s);
  }
  ch.clean_disconnect = v.reason == Reason::success;  // 3.14.4-3
  events::said_goodbye(ch, v.reason);
  cookies_.changed(ch, CookieSlot::identity);
  cookies_.flush();  // the step that closes must carry it
  effects_.acknowledge(ch.conn, ch.in_off);
  ch.state = Channel::State::closing;
  effects_.close(ch.conn, CloseReason::client);
  return true;
}

void MqttFront::acknowledge(Channel& ch, PacketType type, std::uint32_t packet_id, Reason reason,
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

void MqttFront::farewell(Channel& ch, Reason reason, std::string_view text) {
  if (!ch.live() || !ch.v5()) return;
  if (text.empty()) text = text_of(reason);
  encode_within(ch, ch.problem_info ? text : "", [&](std::string_view said) {
    protocol::mqtt::encode_disconnect(head_, reason, said);
  });
  if (!head_.empty()) effects_.send(ch.conn, head_, {});
}

// False: not sent, the device could not take it (3.1.2-25: too large for it, or expired).
bool MqttFront::deliver(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                        std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                        base::Instant now) {
  if (ch.session->peer != 0 && (qos != 0 || (ids != nullptr && !ids->empty())))
    return peer_front_.send(ch, m, qos, retain, dup, packet_id, ids, now);
  return writer_.send(ch, m, qos, retain, dup, packet_id, ids, now);
}

}  // namespace berth::session
