#include "front/mqtt_publish_writer.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "session/late_command.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kOurAliasBytesMax = 2048;  // topics that our aliases stand for

// An alias that is new with this message is known to the device only when the message is sent, so
// it must fit with it: an alias and its property are 3 bytes, and both lengths may grow by one.
bool may_use_alias(const Channel& ch, const mqtt::PublishOut& out) {
  return ch.packet_max == 0 || (ch.alias_out && ch.alias_out->contains(std::string(out.topic))) ||
         mqtt::publish_size(ch.version, out) + 5 <= ch.packet_max;
}

}  // namespace

bool MqttPublishWriter::send(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain,
                             bool dup, std::uint16_t packet_id,
                             const std::vector<std::uint32_t>* ids, base::Instant now) {
  mqtt::PublishOut out{.topic = ch.scope ? ch.scope->leave(m.topic, left_) : m.topic,
                       .payload = m.payload,
                       .forwarded = m.forwarded,
                       .packet_id = packet_id,
                       .qos = qos,
                       .retain = retain,
                       .dup = dup};
  std::optional<protocol::link::Deadline> until;
  if (m.expires_at != base::kNever) {
    const std::int64_t left_ms = m.expires_at.ms - messages_at(now).ms;
    // A command is not repeated late, though MQTT would have it so (4.4): a barrier would open.
    const bool command = is_command_for(ch, out.topic);
    if (left_ms <= 0 && (!dup || command)) {
      ++probe_.drop_expired;
      return false;
    }
    if (command) until = edge_deadline(ch, m, qos, left_ms);
    out.message_expiry_s =
        static_cast<std::uint32_t>((std::max<std::int64_t>(left_ms, 0) + 999) / 1000);
  }
  if (ids != nullptr && !ids->empty()) out.subscription_ids = ids;
  if (ch.alias_maximum != 0 && !until && may_use_alias(ch, out)) use_alias(ch, out);
  if (ch.packet_max != 0 && mqtt::publish_size(ch.version, out) > ch.packet_max) {
    ++probe_.drop_too_large;
    return false;
  }
  budget_.take_delivery(m.payload.size());
  probe_.tx_qos0 += qos == 0;
  probe_.tx_qos1 += qos == 1;
  probe_.tx_qos2 += qos == 2;
  const bool plain = out.subscription_ids == nullptr && ch.alias_maximum == 0 && !dup;
  const int view = !ch.scope ? 0 : ch.scope->who().role == Role::device ? 1 : 2;  // of the topic
  const int key = (view << 4) | (ch.v5() ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  if (!plain || head_cache_.key != key || head_cache_.run != message_run_) {
    head_cache_.bytes.clear();
    mqtt::encode_publish_head(head_cache_.bytes, ch.version, out);
    head_cache_.packet_id_at = 1 + length_field_bytes(head_cache_.bytes) + 2 + out.topic.size();
    head_cache_.key = plain ? key : -1;
    head_cache_.run = message_run_;
  } else if (qos != 0) {
    head_cache_.bytes[head_cache_.packet_id_at] = static_cast<char>(packet_id >> 8);
    head_cache_.bytes[head_cache_.packet_id_at + 1] = static_cast<char>(packet_id);
  }
  if (until) return effects_.send_until(ch.conn, head_cache_.bytes, m.payload, *until);
  effects_.send(ch.conn, head_cache_.bytes, m.payload);
  return true;
}

bool MqttPublishWriter::send_until(Channel& ch, const MessageView& m,
                                   const protocol::link::Deadline& d, base::Instant now) {
  const std::int64_t left_ms = m.expires_at.ms - messages_at(now).ms;
  if (left_ms <= 0) {
    ++probe_.drop_expired;
    return false;
  }
  const mqtt::PublishOut out{
      .topic = ch.scope ? ch.scope->leave(m.topic, left_) : m.topic,
      .payload = m.payload,
      .forwarded = m.forwarded,
      .message_expiry_s = static_cast<std::uint32_t>((left_ms + 999) / 1000)};
  if (ch.packet_max != 0 && mqtt::publish_size(ch.version, out) > ch.packet_max) {
    ++probe_.drop_too_large;
    return false;
  }
  budget_.take_delivery(m.payload.size());
  head_cache_.key = -1;
  head_cache_.bytes.clear();
  mqtt::encode_publish_head(head_cache_.bytes, ch.version, out);
  if (!words_.send(ch.conn, head_cache_.bytes, m.payload, d)) return false;
  ++probe_.tx_qos0;
  return true;
}

// Outbound topic aliases: the first topics seen get one and keep it (3.3.2.3.4).
void MqttPublishWriter::use_alias(Channel& ch, mqtt::PublishOut& out) {
  if (!ch.alias_out) {
    ch.alias_out = std::make_unique<boost::unordered_flat_map<std::string, std::uint16_t>>();
  }
  const auto it = ch.alias_out->find(std::string(out.topic));
  if (it != ch.alias_out->end()) {
    out.topic_alias = it->second;
    out.topic = {};
    return;
  }
  const std::uint16_t limit = std::min<std::uint16_t>(ch.alias_maximum, 64);
  if (ch.alias_out->size() >= limit) return;
  std::size_t bytes = out.topic.size();
  for (const auto& [topic, alias] : *ch.alias_out) bytes += topic.size();
  if (bytes > kOurAliasBytesMax) return;  // they are in the cookie
  out.topic_alias = static_cast<std::uint16_t>(ch.alias_out->size() + 1);
  ch.alias_out->emplace(std::string(out.topic), out.topic_alias);
  cookies_.changed(ch, CookieSlot::alias_out);
}

std::size_t MqttPublishWriter::length_field_bytes(const std::string& packet) {
  std::size_t n = 1;
  while ((packet[n] & 0x80) != 0) ++n;
  return n;
}

}  // namespace berth::session
