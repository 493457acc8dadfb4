#include "front/bridge.h"

#include <utility>

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::PacketType;

namespace {

constexpr std::size_t kPacketMax = std::size_t{256} << 20;  // what an MQTT packet can be
constexpr std::size_t kRoutesPerPacket = 32 * 1024;         // bytes
constexpr std::uint16_t kReceiveMaximum = 4096;             // not yet durable here

void put_u16(std::string& o, std::size_t v) {
  o.push_back(static_cast<char>(v >> 8));
  o.push_back(static_cast<char>(v));
}
void put_string(std::string& o, std::string_view s) {
  put_u16(o, s.size());
  o.append(s);
}
std::string packet(std::uint8_t header, const std::string& body) {
  std::string o(1, static_cast<char>(header));
  base::put_varint(o, body.size());  // MQTT's variable byte integer is the same
  return o + body;
}

}  // namespace

Bridge::Bridge(Broker& home, std::uint32_t home_partition, std::uint32_t source,
               std::uint32_t generation, std::function<void(std::string_view)> send)
    : home_(home),
      home_partition_(home_partition),
      source_(source),
      generation_(generation),
      send_(std::move(send)) {}

// connect := "MQTT" 5 flags keep alive properties client id (3.1)
void Bridge::start() {
  std::string properties;
  mqtt::put_property_u32(properties, mqtt::Property::session_expiry, mqtt::kNoExpiry);
  mqtt::put_property_u16(properties, mqtt::Property::receive_maximum, kReceiveMaximum);
  std::string body;
  put_string(body, "MQTT");
  body.append("\x05\x00\x00\x00", 4);
  base::put_varint(body, properties.size());
  body.append(properties);
  put_string(body, peer_client_id(home_partition_));
  send_(packet(0x10, body));
}

bool Bridge::received(std::string_view bytes, base::Instant now) {
  in_.append(bytes);
  std::size_t used = 0;
  for (;;) {
    mqtt::Frame f;
    const auto status =
        mqtt::next_frame(base::as_bytes(std::string_view(in_).substr(used)), kPacketMax, f);
    if (status == mqtt::FrameStatus::need_more) break;
    if (status != mqtt::FrameStatus::complete || !on_packet(f, now)) return false;
    used += f.size;
  }
  in_.erase(0, used);
  return true;
}

bool Bridge::on_packet(const mqtt::Frame& f, base::Instant now) {
  switch (f.type()) {
    case PacketType::connack:
      return on_connack(f);
    case PacketType::publish:
      return connected_ && on_publish(f, now);
    case PacketType::suback:
    case PacketType::unsuback:
      return connected_ && on_route_ack(f, now);
    default:  // DISCONNECT among them: another has our session
      return false;
  }
}

bool Bridge::on_connack(const mqtt::Frame& f) {
  mqtt::Reader r(f.body);
  const bool present = (r.u8() & 1) != 0;
  const std::uint8_t reason = r.u8();
  if (!r.ok() || reason != 0 || connected_) return false;
  if (!present) home_.begin_source(source_);
  connected_ = true;
  changes_.clear();
  send_all_routes();
  return true;
}

void Bridge::send_all_routes() {
  std::vector<std::string> all;
  home_.for_each_route([&](std::string_view raw) { all.emplace_back(raw); });
  send_routes(true, all);
  send_routes(false, {std::string(kOthersFilter) + std::to_string(generation_)});
  all_routes_sent();
}

bool Bridge::on_publish(const mqtt::Frame& f, base::Instant now) {
  mqtt::PublishView p;
  if (mqtt::decode_publish(f, mqtt::Version::v5, scratch_, p) != mqtt::Reason::success)
    return false;
  std::string_view forwarded = p.properties.forwarded;
  const auto tag = take_tag(forwarded);
  MessageView m{.topic = p.topic,
                .payload = p.payload,
                .forwarded = forwarded,
                .qos = p.qos,
                .retain = p.retain};
  if (p.properties.has(mqtt::Property::message_expiry))
    m.expires_at = home_.messages_at(now).plus_s(p.properties.message_expiry_s);
  if (p.qos == 0) {
    PeerTag zero = tag ? tag_of(tag->ids) : PeerTag{};
    zero.qos = 0;
    home_.publish_from(source_, 0, zero, m, now, [] {});
    return true;
  }
  if (p.qos != 1 || !tag || tag->seq == 0) return false;
  const auto acknowledge = [this, alive = std::weak_ptr<bool>(alive_), id = p.packet_id] {
    if (alive.expired()) return;  // it will come again and is known then
    std::string ack;
    mqtt::encode_ack(ack, PacketType::puback, mqtt::Version::v5, id, mqtt::Reason::success);
    send_(ack);
  };
  home_.publish_from(source_, tag->seq, tag_of(tag->ids), m, now, acknowledge);
  return true;
}

bool Bridge::on_route_ack(const mqtt::Frame& f, base::Instant now) {
  mqtt::Reader r(f.body);
  const std::uint16_t id = r.u16();
  if (!r.ok() || sent_.empty() || sent_.front().packet_id != id) return false;
  const std::uint64_t through = sent_.front().routes_through;
  sent_.pop_front();
  if (through != 0) home_.routes_reached(source_, through, now);
  return true;
}

void Bridge::route(std::string_view raw, bool added) {
  if (connected_) changes_.emplace_back(std::string(raw), added);  // else CONNACK brings all
}

// In their order: a filter may have gone and come again.
void Bridge::flush() {
  if (changes_.empty()) return;
  const auto changes = std::exchange(changes_, {});
  std::vector<std::string> filters;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    filters.push_back(changes[i].first);
    if (i + 1 < changes.size() && changes[i + 1].second == changes[i].second) continue;
    send_routes(changes[i].second, filters);
    filters.clear();
  }
  all_routes_sent();
}

// With the acknowledgement of the last packet all routes up to now are known there.
void Bridge::all_routes_sent() {
  sent_.back().routes_through = home_.route_number();
}

std::uint16_t Bridge::next_packet_id() {
  packet_id_ = packet_id_ == 65535 ? 1 : packet_id_ + 1;
  return packet_id_;
}

// subscribe := packet id, properties, (filter options:u8)*; unsubscribe without options (3.8, 3.10)
void Bridge::send_routes(bool subscribe, const std::vector<std::string>& filters) {
  constexpr char kOptions = 2 | 8 | 0x20;  // QoS 2, retain as published, nothing retained
  for (std::size_t i = 0; i < filters.size();) {
    std::string properties;
    if (subscribe) {
      properties.push_back('\x0b');
      base::put_varint(properties, generation_);
    }
    std::string body;
    sent_.push_back({next_packet_id(), 0});
    put_u16(body, packet_id_);
    base::put_varint(body, properties.size());
    body.append(properties);
    for (; i < filters.size() && body.size() < kRoutesPerPacket; ++i) {
      put_string(body, filters[i]);
      if (subscribe) body.push_back(kOptions);
    }
    send_(packet(subscribe ? 0x82 : 0xa2, body));
  }
}

}  // namespace berth::session
