// PUBLISH and PUBREL from a device: what it may say, once each, and when it is answered.
#include <algorithm>

#include "protocol/mqtt/faults.h"
#include "session/broker.h"
#include "session/command_topic.h"
#include "session/events.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::PacketType;
using mqtt::Property;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kAliasBytesMax = 4096;  // topics that a device's aliases stand for

PacketType reply_type(std::uint8_t qos) {
  return qos == 1 ? PacketType::puback : qos == 2 ? PacketType::pubrec : PacketType{};
}

// QoS 2 ids outlive a connection, its Receive Maximum does not: ids of earlier connections count.
bool has_too_many_received(const Session& s, std::uint16_t packet_id, std::size_t max) {
  return s.received && s.received->size() >= max && !s.received->contains(packet_id);
}

}  // namespace

bool Broker::on_publish(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  mqtt::PublishView p;
  const Reason e = mqtt::decode_publish(f, ch.version, scratch_, p);
  if (e != Reason::success) {
    clients_.fail(ch, e, CloseReason::protocol_error, mqtt::text_of_fault(f, e));
    return true;
  }
  if (p.qos != 0 && ch.unacked_in >= options_.receive_maximum) {
    if (!ch.v5() && gated(ch)) {  // 3.1.1 knows no Receive Maximum: slow the device down
      stall(ch);
      return false;
    }
    clients_.fail(ch, Reason::receive_maximum_exceeded, CloseReason::protocol_error,
                  "more than " + std::to_string(options_.receive_maximum) + " PUBLISHes in flight");
    return true;
  }
  if (p.properties.has(Property::topic_alias)) {
    if (gated(ch)) {
      stall(ch);
      return false;
    }
    if (!resolve_alias(ch, p)) return true;
  }
  if (p.qos == 2 && has_too_many_received(*ch.session, p.packet_id, options_.receive_maximum)) {
    ++probe_.drop_quota;
    static constexpr const char* kText = "too many QoS 2 packet ids are not released";
    if (ch.v5()) return refuse_publish(ch, p, Reason::quota_exceeded, Quota::none, kText);
    clients_.fail(ch, Reason::quota_exceeded, CloseReason::policy, kText);
    return true;
  }
  const DeviceMessages::What what = translator_.translate(ch, p, now);
  if (what == DeviceMessages::What::wait) {
    meter_.throttle(ch);
    return false;
  }
  const std::string_view said = p.topic;
  std::string_view inside;
  const bool allowed =
      what == DeviceMessages::What::swallowed || gate_.enter_topic(ch, p.topic, inside);
  if (what == DeviceMessages::What::swallowed) inside = said;
  const Match* const matched = allowed ? &distributor_.match(inside) : nullptr;
  if (allowed && wide_fanouts_.is_fanout(*matched, p.qos, p.payload.size()) &&
      !wide_fanouts_.may_begin(ch))
    return false;
  const Metered m = meter_.publish(ch, p, now);
  if (m.what == Metered::wait) return false;
  probe_.rx_qos0 += p.qos == 0;
  probe_.rx_qos1 += p.qos == 1;
  probe_.rx_qos2 += p.qos == 2;
  if (m.what == Metered::refuse) {
    events::over_quota(ch, m.quota, said, "the message is refused or dropped");
    return refuse_publish(ch, p, Reason::quota_exceeded, m.quota);
  }
  const bool named = allowed && (ch.scope || may_be_command(said));
  if (const char* fault = named ? translator_.name_fault(ch, said) : nullptr)
    return refuse_publish(ch, p, Reason::topic_name_invalid, Quota::none, fault);
  if (allowed) {
    p.topic = inside;
    translator_.address_command(ch, said, p, now);
    const bool same = p.topic.data() == inside.data();
    accept_publish(ch, p, p.packet_id, same ? *matched : distributor_.match(p.topic), now);
    return true;
  }
  ++probe_.authz_denied;
  ++probe_.drop_not_authorized;
  events::publish_denied(ch, said, p.qos);
  return refuse_publish(ch, p, Reason::not_authorized, Quota::none);
}

// 3.1.1 has no way to refuse: acknowledge and drop. A refused QoS 2 PUBLISH ends with its PUBREC.
bool Broker::refuse_publish(Channel& ch, const mqtt::PublishView& p, Reason reason, Quota quota,
                            const char* text) {
  if (p.qos != 0) ++ch.unacked_in;
  const Reason r = ch.v5() ? reason : Reason::success;
  if (p.qos == 2 && ch.v5()) --ch.unacked_in;
  if (gated(ch)) {
    commits_.defer(ch, {.reply_type = reply_type(p.qos),
                        .reason = r,
                        .packet_id = p.packet_id,
                        .quota = quota,
                        .text = text});
  } else if (p.qos != 0) {
    times_.acknowledged(times_.now());
    acknowledge(ch, reply_type(p.qos), p.packet_id, r, quota, text);
  }
  return true;
}

bool Broker::resolve_alias(Channel& ch, mqtt::PublishView& p) {
  const std::uint16_t alias = p.properties.topic_alias;
  if (alias == 0 || alias > options_.alias_maximum) {
    clients_.fail(ch, Reason::topic_alias_invalid, CloseReason::protocol_error,  // 3.3.2-8
                  "topic alias " + std::to_string(alias) + ", the limit is " +
                      std::to_string(options_.alias_maximum));
    return false;
  }
  if (!ch.alias_in) {
    ch.alias_in = std::make_unique<std::vector<std::string>>(options_.alias_maximum + 1u);
  }
  std::string& known = (*ch.alias_in)[alias];
  if (p.topic.empty()) {
    if (known.empty()) {
      clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                    "topic alias " + std::to_string(alias) + " stands for no topic yet");
      return false;
    }
    p.topic = known;
  } else if (known != p.topic) {
    std::size_t bytes = p.topic.size();
    for (const std::string& other : *ch.alias_in) bytes += &other == &known ? 0 : other.size();
    if (bytes > kAliasBytesMax) {
      ++probe_.refused_aliases;
      clients_.fail(
          ch, Reason::quota_exceeded, CloseReason::policy,
          "its topic aliases stand for more than " + std::to_string(kAliasBytesMax) + " bytes");
      return false;
    }
    known = p.topic;
    cookies_.changed(ch, CookieSlot::alias_in);
  }
  return true;
}

// False: the same QoS 2 message again (4.3.3-10), answered here. `fresh` is cleared for one that a
// dead engine has committed.
bool Broker::admit_qos2(Channel& ch, std::uint16_t packet_id, bool& fresh) {
  Session& s = *ch.session;
  if (!s.received) {
    s.received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
  }
  const auto [it, inserted] =
      s.received->try_emplace(packet_id, Received{.edge = connections_.edge_of(ch.conn),
                                                  .conn = ch.conn.local().packed(),
                                                  .offset = ch.in_off});
  const Received& r = it->second;
  const bool replayed = !inserted && !r.effective && r.edge == connections_.edge_of(ch.conn) &&
                        r.conn == ch.conn.local().packed() && r.offset == ch.in_off &&
                        ch.in_off <= ch.replay_end;
  if (!inserted && !replayed) {
    clients_.defer_or_reply(ch, {.reply_type = PacketType::pubrec, .packet_id = packet_id});
    return false;
  }
  if (replayed) ++probe_.applied_replays;
  fresh = !replayed && replay_.outcome_of(ch) == nullptr;
  return true;
}

// `m`: of its topic.
void Broker::accept_publish(Channel& ch, const mqtt::PublishView& p, std::uint32_t id,
                            const Match& m, base::Instant now) {
  Session& s = *ch.session;
  Delivery d{.message = {.topic = p.topic,
                         .payload = p.payload,
                         .forwarded = p.properties.forwarded,
                         .qos = p.qos,
                         .retain = p.retain},
             .owned = {},
             .publisher = s.id,
             .origin = ch.conn};
  if (p.properties.has(Property::message_expiry)) {
    d.message.expires_at = messages_at(now).plus_s(p.properties.message_expiry_s);
  }
  bool fresh = true;  // false: a dead engine has already stored it for the sessions with a queue
  if (p.qos == 2 && !admit_qos2(ch, p.packet_id, fresh)) return;
  const bool retain = d.message.retain = meter_.may_retain(d.message, fresh);
  const bool must_stage = gated(ch) || retain || (p.qos == 2 && s.persistent());
  if (p.qos != 0) ++ch.unacked_in;
  if (m.empty()) ++probe_.drop_no_subscribers;
  const Reason reason = m.empty() && ch.v5() ? Reason::no_matching_subscribers : Reason::success;
  const bool many = wide_fanouts_.is_fanout(m, p.qos, p.payload.size()) ||
                    (p.qos == 2 && replay_.fanned_out_through(ch));
  if (!must_stage && !many && !distributor_.needs_staging(m, d)) {
    distributor_.deliver(m, d, nullptr, now);
    if (p.qos == 0) return;
    times_.acknowledged(times_.now());
    return acknowledge(ch, reply_type(p.qos), id, reason, Quota::none, nullptr);
  }
  Deferred reply_to{.kind = Deferred::Kind::publish,
                    .reply_type = reply_type(p.qos),
                    .reason = reason,
                    .packet_id = id,
                    .conn = {},
                    .in_off = 0,
                    .message = {},
                    .publisher = s.id,
                    .picks = {},
                    .spilled = {},
                    .fanout = {},
                    .call = {}};
  if (retain && fresh) reply_to.stamp = d.message.stamp = retained_delivery_.next_stamp(now);
  if (many) return fan_out(ch, m, d, std::move(reply_to), fresh);
  reply_to.message = d.own();
  const std::size_t before = commits_.writes();
  if (!fresh) reply_to.spilled = replay_.spilled_before(ch);
  distributor_.stage(m, d, reply_to, fresh);
  if (retain && fresh) retained_delivery_.store(d.message);
  if (p.qos == 2 && s.persistent() && fresh) put_received(ch, p.packet_id);
  if (p.qos == 2 && fresh && commits_.writes() != before &&
      (!s.persistent() || !reply_to.spilled.empty())) {
    reply_to.in_off = ch.in_off;
    replay_.record_spilled(ch, reply_to);
  }
  commits_.defer_or_run(ch, std::move(reply_to), commits_.writes() != before, now);
}

void Broker::put_received(const Channel& ch, std::uint16_t packet_id) {
  (*ch.session->received)[packet_id].stored = true;
  std::string from;
  base::put_varint(from, ch.conn.local().packed());
  base::put_varint(from, ch.in_off);
  base::put_varint(from, connections_.edge_of(ch.conn));
  commits_.write({.kind = WriteKind::put_received,
                  .session = ch.session->id,
                  .seq = packet_id,
                  .epoch = ch.session->epoch,
                  .value = from});
}

// The first part of a Fanout: what is not staged for each receiver by itself.
void Broker::fan_out(Channel& ch, const Match& m, Delivery& d, Deferred out, bool fresh) {
  const Publisher p = distributor_.publisher_of(d);
  if (p.since != nullptr) *p.since = order_clock_.next();
  out.message = d.own();
  if (fresh && d.message.retain && partitioned()) peer_queues_.stage_retained(m, d);
  if (fresh && d.message.retain) retained_delivery_.store(d.message);
  const auto id = static_cast<std::uint16_t>(out.packet_id);
  if (d.message.qos == 2 && ch.session->persistent() && fresh) put_received(ch, id);
  out.conn = ch.conn;
  out.in_off = ch.in_off;
  ++ch.pending;
  stall(ch);
  Fanout::Through through;
  if (d.message.qos == 2 && fresh) {
    replay_.record(
        ch, replay_.fanned_out_groups(through.route));  // in the batch that says it was received
  } else if (d.message.qos == 2) {  // where nothing says how far: the last release, all groups
    through =
        replay_.fanned_out_through(ch).value_or(Fanout::Through{.session = 0, .route = UINT32_MAX});
  }
  wide_fanouts_.begin(m, d, std::move(out), through);
}

bool Broker::on_pubrel(Channel& ch, const mqtt::Frame& f) {
  mqtt::AckView a;
  const Reason e = mqtt::decode_ack(f, ch.version, a);
  if (e != Reason::success) {
    clients_.fail(ch, e, CloseReason::protocol_error, mqtt::text_of_fault(f, e));
    return true;
  }
  Session& s = *ch.session;
  const auto it = s.received ? s.received->find(a.packet_id) : decltype(s.received->end()){};
  const bool known = s.received && it != s.received->end();
  const bool stored = known && it->second.stored;
  if (known) s.received->erase(it);
  if (known && ch.unacked_in != 0) --ch.unacked_in;
  const bool replayed = ch.in_off <= ch.replay_end;
  Deferred d{.reply_type = PacketType::pubcomp,
             .reason = known || replayed || !ch.v5() ? Reason::success
                                                     : Reason::packet_identifier_not_found,
             .packet_id = a.packet_id};
  if (stored) {
    commits_.write({.kind = WriteKind::remove_received,
                    .session = s.id,
                    .seq = a.packet_id,
                    .epoch = s.epoch});
    commits_.defer(ch, std::move(d));
    return true;
  }
  if (known) cookies_.changed(ch, CookieSlot::volatile_state);
  clients_.defer_or_reply(ch, std::move(d));
  return true;
}

}  // namespace berth::session
