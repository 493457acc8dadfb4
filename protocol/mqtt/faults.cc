#include "protocol/mqtt/faults.h"

#include <array>

#include "protocol/mqtt/reason_text.h"

namespace berth::protocol::mqtt {

namespace {

// 0: it has a packet id of 0. Not read: it has none, or is too short for one.
bool has_packet_id_0(const Frame& f) {
  std::size_t at = 0;
  switch (f.type()) {
    case PacketType::publish:
      if ((f.header & 6) == 0 || f.body.size() < 2) return false;
      at = 2 + (std::size_t{f.body[0]} << 8 | f.body[1]);
      break;
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
    case PacketType::subscribe:
    case PacketType::unsubscribe:
      break;
    default:
      return false;
  }
  return at + 2 <= f.body.size() && f.body[at] == 0 && f.body[at + 1] == 0;
}

}  // namespace

std::string name_of(PacketType type) {
  static constexpr std::array<const char*, 16> kNames{
      "",        "CONNECT",  "CONNACK",    "PUBLISH", "PUBACK",      "PUBREC",
      "PUBREL",  "PUBCOMP",  "SUBSCRIBE",  "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
      "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};
  const auto n = static_cast<std::size_t>(type);
  return n != 0 && n < kNames.size() ? kNames[n] : "packet type " + std::to_string(n);
}

std::string text_of_fault(const Frame& f, Reason reason) {
  if (has_packet_id_0(f)) return name_of(f.type()) + " with packet id 0";
  const char* what = text_of(reason);
  return name_of(f.type()) + ": " + (*what == 0 ? "protocol error" : what);
}

std::string text_of_size(PacketType type, std::size_t size, std::size_t limit) {
  return name_of(type) + " of " + std::to_string(size) + " bytes, the limit is " +
         std::to_string(limit);
}

std::string text_of_unexpected(PacketType type) {
  if (type == PacketType::connect) return "a second CONNECT";
  if (type == PacketType::auth) return "AUTH without enhanced authentication";
  const bool known = type != PacketType{};
  return name_of(type) + (known ? " is for the server to send" : " is unknown");
}

}  // namespace berth::protocol::mqtt
