#include "sim/mqtt_client.h"

#include <algorithm>
#include <utility>

#include "protocol/mqtt/codec.h"
#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/wire.h"

namespace berth::sim {

namespace mqtt = protocol::mqtt;

namespace {
constexpr std::size_t kPacketMax = 16 << 20;
constexpr std::uint16_t kSubscribeId = 65535;
}  // namespace

void MqttClient::put(std::uint8_t header, std::string_view body) {
  mqtt::put_u8(out_, header);
  mqtt::put_wire_varint(out_, static_cast<std::uint32_t>(body.size()));
  out_.append(body);
}

void MqttClient::opened() {
  closed();
  out_.clear();
  std::string body;
  mqtt::put_string(body, "MQTT");
  mqtt::put_u8(body, 4);
  const bool named = !options_.user_name.empty();
  mqtt::put_u8(body, named ? 0xc0 : 0);  // clean session 0: commands wait for us
  mqtt::put_u16(body, options_.keep_alive_s);
  mqtt::put_string(body, options_.client_id);
  if (named) {
    mqtt::put_string(body, options_.user_name);
    mqtt::put_string(body, options_.password);
  }
  put(0x10, body);
}

void MqttClient::closed() {
  in_.clear();
  connected_ = ready_ = false;
  sent_ = 0;
}

bool MqttClient::receive(base::ByteView bytes) {
  in_.append(base::as_text(bytes));
  std::size_t used = 0;
  bool good = true;
  mqtt::Frame f;
  while (good) {
    const auto status =
        mqtt::next_frame(base::as_bytes(std::string_view(in_).substr(used)), kPacketMax, f);
    if (status == mqtt::FrameStatus::need_more) break;
    good = status == mqtt::FrameStatus::complete && on_packet(f.header, base::as_text(f.body));
    if (good) used += f.size;
  }
  in_.erase(0, used);
  return good;
}

bool MqttClient::on_packet(std::uint8_t header, std::string_view body) {
  mqtt::Reader r(base::as_bytes(body));
  switch (static_cast<mqtt::PacketType>(header >> 4)) {
    case mqtt::PacketType::connack: {
      r.u8();  // session present
      if (connected_ || r.u8() != 0 || !r.ok()) return false;
      connected_ = true;
      std::string subscribe;
      mqtt::put_u16(subscribe, kSubscribeId);
      for (const std::string& f : options_.filters) {
        mqtt::put_string(subscribe, f);
        mqtt::put_u8(subscribe, 1);
      }
      put(0x82, subscribe);
      return true;
    }
    case mqtt::PacketType::suback:
      ready_ = true;
      send_kept();
      return true;
    case mqtt::PacketType::publish:
      on_message(header, body);
      return true;
    case mqtt::PacketType::puback: {
      const std::uint16_t id = r.u16();
      const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(sent_);
      const auto it =
          std::find_if(kept_.begin(), end, [id](const Kept& k) { return k.packet_id == id; });
      if (it == end) return true;
      const std::uint64_t number = it->number;
      kept_.erase(it);
      --sent_;
      if (events_.acked) events_.acked(number);
      send_kept();
      return true;
    }
    default:
      return true;
  }
}

void MqttClient::on_message(std::uint8_t header, std::string_view body) {
  mqtt::Reader r(base::as_bytes(body));
  const std::string_view topic = r.string();
  const int qos = (header >> 1) & 3;
  if (qos != 0) {
    std::string ack;
    mqtt::put_u16(ack, r.u16());
    put(0x40, ack);
  }
  if (r.ok() && events_.message) events_.message(topic, r.rest());
}

std::uint64_t MqttClient::publish(std::string topic, std::string payload, int qos) {
  if (qos == 0) {
    std::string body;
    mqtt::put_string(body, topic);
    if (ready_) put(0x30, body + payload);
    return 0;
  }
  if (kept_.size() >= kKeptMax) return 0;
  kept_.push_back({++numbers_, std::move(topic), std::move(payload), 0, false});
  send_kept();
  return numbers_;
}

void MqttClient::send_kept() {
  while (ready_ && sent_ < kept_.size() && sent_ < kWindow) {
    Kept& k = kept_[sent_++];
    if (k.packet_id == 0)
      k.packet_id = next_id_ = static_cast<std::uint16_t>(next_id_ % 60'000 + 1);
    std::string body;
    mqtt::put_string(body, k.topic);
    mqtt::put_u16(body, k.packet_id);
    put(std::exchange(k.said, true) ? 0x3a : 0x32, body + k.payload);
  }
}

}  // namespace berth::sim
