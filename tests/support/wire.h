// A client's side of MQTT for tests and load: packets as bytes, and bytes as packets. Deliberately
// apart from the gateway's codec, so that the two check each other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::test {

inline std::string u16(unsigned v) {
  return {static_cast<char>(v >> 8), static_cast<char>(v)};
}
inline std::string str(std::string_view s) {
  return u16(static_cast<unsigned>(s.size())).append(s);
}
inline std::string var(std::size_t v) {
  std::string o;
  do {
    const auto b = static_cast<unsigned char>(v & 0x7f);
    v >>= 7;
    o.push_back(static_cast<char>(v != 0 ? b | 0x80 : b));
  } while (v != 0);
  return o;
}
inline std::string packet(unsigned header, std::string_view body) {
  return std::string(1, static_cast<char>(header)).append(var(body.size())).append(body);
}
inline std::string from_hex(std::string_view hex) {
  std::string o;
  int high = -1;
  for (const char c : hex) {
    const int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (v < 0) continue;
    if (high < 0) {
      high = v;
    } else {
      o.push_back(static_cast<char>(high << 4 | v));
      high = -1;
    }
  }
  return o;
}

struct ConnectOptions {
  std::string client_id = "c";
  int version = 5;
  bool clean = true;
  unsigned keep_alive_s = 0;
  std::string properties;  // encoded, v5
  std::string will_topic;
  std::string will_payload;
  unsigned will_qos = 0;
  bool will_retain = false;
  std::string will_properties;
  std::string user;
  std::string password;
};

inline std::string connect(const ConnectOptions& o) {
  unsigned flags = o.clean ? 2 : 0;
  if (!o.will_topic.empty()) flags |= 4 | (o.will_qos << 3) | (o.will_retain ? 0x20 : 0);
  if (!o.user.empty()) flags |= 0x80;
  if (!o.password.empty()) flags |= 0x40;
  std::string b = str("MQTT");
  b.push_back(static_cast<char>(o.version));
  b.push_back(static_cast<char>(flags));
  b += u16(o.keep_alive_s);
  if (o.version == 5) b += var(o.properties.size()) + o.properties;
  b += str(o.client_id);
  if (!o.will_topic.empty()) {
    if (o.version == 5) b += var(o.will_properties.size()) + o.will_properties;
    b += str(o.will_topic) + str(o.will_payload);
  }
  if (!o.user.empty()) b += str(o.user);
  if (!o.password.empty()) b += str(o.password);
  return packet(0x10, b);
}
inline std::string expiry(std::uint32_t s) {
  return std::string("\x11", 1) + u16(s >> 16) + u16(s & 0xffff);
}

inline std::string publish(std::string_view topic, std::string_view payload, unsigned qos = 0,
                           unsigned id = 0, int version = 5, bool retain = false, bool dup = false,
                           std::string_view properties = {}) {
  std::string b = str(topic);
  if (qos != 0) b += u16(id);
  if (version == 5) b += var(properties.size()) + std::string(properties);
  b.append(payload);
  return packet(0x30 | (dup ? 8u : 0u) | (qos << 1) | (retain ? 1u : 0u), b);
}
inline std::string subscribe(unsigned id, std::string_view filter, unsigned options,
                             int version = 5, std::string_view properties = {}) {
  std::string b = u16(id);
  if (version == 5) b += var(properties.size()) + std::string(properties);
  return packet(0x82, b + str(filter) + static_cast<char>(options));
}
inline std::string unsubscribe(unsigned id, std::string_view filter, int version = 5) {
  return packet(0xa2, u16(id) + (version == 5 ? std::string(1, '\0') : "") + str(filter));
}
inline std::string ack(unsigned type, unsigned id) {  // 4 PUBACK, 5 PUBREC, 6 PUBREL, 7 PUBCOMP
  return packet(type << 4 | (type == 6 ? 2u : 0u), u16(id));
}
inline std::string disconnect() {
  return packet(0xe0, "");
}
inline std::string pingreq() {
  return packet(0xc0, "");
}

struct Packet {
  unsigned type = 0;
  unsigned flags = 0;
  std::string body;
  unsigned qos() const { return (flags >> 1) & 3; }
  bool dup() const { return (flags & 8) != 0; }
  bool retain() const { return (flags & 1) != 0; }
  unsigned u16_at(std::size_t i) const {
    return i + 1 < body.size() ? static_cast<unsigned char>(body[i]) * 256u +
                                     static_cast<unsigned char>(body[i + 1])
                               : 0;
  }
  // PUBLISH
  std::string topic() const { return body.substr(2, u16_at(0)); }
  unsigned id() const { return type == 3 ? u16_at(2 + u16_at(0)) : u16_at(0); }
  std::string properties(int version) const {
    std::size_t at = 2 + u16_at(0) + (qos() != 0 ? 2 : 0);
    return version == 5 ? body.substr(at + 1, static_cast<unsigned char>(body[at])) : "";
  }
  std::string payload(int version) const {
    std::size_t at = 2 + u16_at(0) + (qos() != 0 ? 2 : 0);
    if (version == 5)
      at += 1u + static_cast<unsigned char>(body[at]);  // property blocks below 128 bytes
    return body.substr(at);
  }
};

// Takes whole packets off the front of `bytes`.
inline std::vector<Packet> take_packets(std::string& bytes) {
  std::vector<Packet> out;
  std::size_t at = 0;
  while (bytes.size() - at >= 2) {
    std::size_t length = 0;
    std::size_t i = 1;
    for (unsigned shift = 0;; shift += 7, ++i) {
      if (at + i >= bytes.size()) goto done;
      const auto b = static_cast<unsigned char>(bytes[at + i]);
      length |= static_cast<std::size_t>(b & 0x7f) << shift;
      if ((b & 0x80) == 0) break;
    }
    if (at + i + 1 + length > bytes.size()) break;
    {
      const unsigned h = static_cast<unsigned char>(bytes[at]);
      out.push_back({h >> 4u, h & 15u, bytes.substr(at + i + 1, length)});
    }
    at += i + 1 + length;
  }
done:
  bytes.erase(0, at);
  return out;
}

}  // namespace berth::test
