// PUBLISH and PUBREL from a client: what it may say (MQTT 5.0 3.3, 3.6).
#include <memory>
#include <string>
#include <utility>

#include "front/mqtt_front.h"
#include "protocol/mqtt/faults.h"
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

// QoS 2 ids outlive a connection, its Receive Maximum does not: ids of earlier connections count.
bool has_too_many_received(const Session& s, std::uint16_t packet_id, std::size_t max) {
  return s.received && s.received->size() >= max && !s.received->contains(packet_id);
}

}  // namespace

// A PUBLISH that keeps the rules of MQTT. Inlined: it is called once, by on_publish().
[[gnu::always_inline]] inline bool MqttFront::take_publish(Channel& ch, const mqtt::PublishView& p,
                                                           base::Instant now) {
  Publication publication{.message = {.topic = p.topic,
                                      .payload = p.payload,
                                      .forwarded = p.properties.forwarded,
                                      .qos = p.qos,
                                      .retain = p.retain},
                          .id = p.packet_id};
  MessageView& m = publication.message;
  if (p.properties.has(Property::message_expiry))
    m.expires_at = messages_at(now).plus_s(p.properties.message_expiry_s);
  const DeviceMessages::What what = translator_.translate(ch, m, now);
  if (what == DeviceMessages::What::wait) {
    meter_.throttle(ch);
    return false;
  }
  const std::string_view said = m.topic;
  const Judgement j = intake_.judge(ch, m, what == DeviceMessages::What::swallowed, now);
  if (j.what == Judgement::wait) return false;
  if (j.what == Judgement::over_quota) {
    events::over_quota(ch, j.quota, said, "the message is refused or dropped");
    return refuse_publish(ch, publication, Reason::quota_exceeded, j.quota);
  }
  if (j.what == Judgement::denied)
    return refuse_publish(ch, publication, Reason::not_authorized, Quota::none);
  const bool named = ch.scope || may_be_command(said);
  if (const char* fault = named ? translator_.name_fault(ch, said, m.retain) : nullptr)
    return refuse_publish(ch, publication, Reason::topic_name_invalid, Quota::none, fault);
  m.topic = j.inside;
  if (const char* fault = named ? translator_.address_command(ch, said, m, now) : nullptr)
    return refuse_publish(ch, publication, Reason::topic_name_invalid, Quota::none, fault);
  const bool same = m.topic.data() == j.inside.data();
  intake_.accept(ch, publication, same ? *j.match : distributor_.match(m.topic), now);
  if (what != DeviceMessages::What::as_is) translator_.taken(ch);
  return true;
}

bool MqttFront::on_publish(Channel& ch, const mqtt::Frame& f, base::Instant now) {
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
    const Publication full{.message = {.qos = p.qos}, .id = p.packet_id};
    if (ch.v5()) return refuse_publish(ch, full, Reason::quota_exceeded, Quota::none, kText);
    clients_.fail(ch, Reason::quota_exceeded, CloseReason::policy, kText);
    return true;
  }
  return take_publish(ch, p, now);
}

bool MqttFront::resolve_alias(Channel& ch, mqtt::PublishView& p) {
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

bool MqttFront::on_pubrel(Channel& ch, const mqtt::Frame& f) {
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
