// From a session's queue to its device: sequence numbers, packet ids, windows, acknowledgements
// (MQTT 5.0 sections 4.3, 4.4, 4.9; docs/design.md, "Packet ids").
#include <algorithm>

#include "base/assert.h"
#include "protocol/mqtt/faults.h"
#include "session/broker.h"
#include "session/entry_codec.h"
#include "session/events.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::PacketType;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kAliasBytesMax = 2048;  // topics that our aliases stand for

}  // namespace

// -- out to the device

// False: not sent, the device could not take it (3.1.2-25: too large for it, or expired).
bool Broker::deliver(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                     std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                     base::Instant now) {
  if (ch.session->peer != 0 && (qos != 0 || (ids != nullptr && !ids->empty())))
    return peer_front_.send(ch, m, qos, retain, dup, packet_id, ids, now);
  return writer_.send(ch, m, qos, retain, dup, packet_id, ids, now);
}

// -- acknowledgements

bool Broker::on_ack(Channel& ch, const mqtt::Frame& f, base::Instant now) {
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
      queues_.finish(s, seq);  // 4.3.3: refused, no PUBREL
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
      queues_.finish(s, seq);
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

}  // namespace berth::session
