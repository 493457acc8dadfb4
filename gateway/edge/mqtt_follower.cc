#include "gateway/edge/mqtt_follower.h"

#include <algorithm>

#include "protocol/mqtt/codec.h"
#include "protocol/mqtt/wire.h"

namespace berth::gateway::edge {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;

namespace {

constexpr std::uint8_t kConnectHeader = 0x10;

// DISCONNECT, where there is one with Server Reference (3.14.2.2.5).
std::string disconnect_packet(Reason reason, const std::string& reference) {
  if (reference.empty()) return {'\xe0', '\x01', static_cast<char>(reason)};
  std::string property;
  property.push_back('\x1c');
  property.push_back(static_cast<char>(reference.size() >> 8));
  property.push_back(static_cast<char>(reference.size()));
  property.append(reference);
  std::string body(1, static_cast<char>(reason));
  base::put_varint(body, property.size());  // MQTT's variable byte integer is the same up to here
  body.append(property);
  std::string packet{"\xe0"};
  base::put_varint(packet, body.size());
  return packet + body;
}

// Of a CONNECT: 5, or less for what has shorter answers.
bool wants_version_5(std::string_view first) {
  // Fixed header, remaining length of 1 to 4 bytes, "MQTT" with its length, the version.
  std::size_t at = 1;
  while (at < first.size() && at < 5 && (static_cast<unsigned char>(first[at]) & 0x80) != 0) ++at;
  at += 1 + 2 + 4;
  return at < first.size() && first[at] == 5;
}

}  // namespace

StreamFault MqttFollower::fault(base::ByteView in, bool first) {
  const bool park = first && in.front() == protocol::park::kMagic0;
  return {.text = park ? "the Park protocol at a listener of MQTT"
                       : "a Remaining Length of more than 4 bytes"};
}

std::string MqttFollower::farewell(const Farewell& f, const StreamFacts& s) {
  if (!s.connected || s.version != 5) return {};
  const std::string& where = f.elsewhere.server_reference;
  if (f.reason != Reason::server_shutting_down || where.empty())
    return disconnect_packet(f.reason, {});
  return disconnect_packet(Reason::use_another_server, where);
}

std::string MqttFollower::refusal(const Farewell& f, const StreamFacts&, base::ByteView first) {
  if (first.empty()) return {};
  std::string out;
  const bool v5 = wants_version_5(base::as_text(first));
  mqtt::encode_connack(out, v5 ? mqtt::Version::v5 : mqtt::Version::v311, false, f.reason, {});
  return out;
}

bool MqttFollower::waits_for_more(std::uint8_t first_byte, std::uint64_t in_off) const {
  return unfinished() == in_off && first_byte == kConnectHeader && packet_size() <= kLoginMax;
}

First MqttFollower::peek(base::ByteView in, std::string& client_id) {
  mqtt::Frame f;
  if (in.front() != kConnectHeader) return First::other;
  const mqtt::FrameStatus status = mqtt::next_frame(in, kLoginMax, f);
  if (status == mqtt::FrameStatus::need_more) return First::incomplete;
  if (status == mqtt::FrameStatus::too_large) return First::too_large;
  if (status != mqtt::FrameStatus::complete) return First::other;
  client_id = mqtt::peek_client_id(f);
  return First::login;
}

bool MqttFollower::refuse_large(base::ByteView in, std::string& out) {
  std::size_t at = 1;
  while (at < in.size() && (in[at] & 0x80) != 0) ++at;
  in = in.subspan(std::min(at + 1, in.size()));
  const std::size_t level_at = in.size() < 2 ? 0 : 2 + (std::size_t{in[0]} << 8 | in[1]);
  if (in.size() < 2 || (level_at <= 8 && level_at >= in.size())) return false;
  const std::string_view name = base::as_text(in.subspan(2)).substr(0, level_at - 2);
  if (name == "MQTT" || name == "MQIsdp") {
    const auto version = in[level_at] == 5 ? mqtt::Version::v5 : mqtt::Version::v311;
    mqtt::encode_connack(out, version, false, Reason::packet_too_large, {});
  }
  return true;
}

bool MqttFollower::has_whole_packet(base::ByteView in) {
  mqtt::Frame f;
  return mqtt::next_frame(in, SIZE_MAX, f) != mqtt::FrameStatus::need_more;
}

bool MqttFollower::has_goodbye(base::ByteView in) {
  mqtt::Frame f;
  while (mqtt::next_frame(in, SIZE_MAX, f) == mqtt::FrameStatus::complete) {
    if (f.type() == mqtt::PacketType::disconnect) return true;
    in = in.subspan(f.size);
  }
  return false;
}

FollowerPlace MqttFollower::save() const {
  return {.mqtt = walker_.place(), .park = protocol::park::Walker().save()};
}

bool MqttFollower::go_on_from(const FollowerPlace& p) {
  walker_.go_on_from(p.mqtt);
  return true;
}

}  // namespace berth::gateway::edge
