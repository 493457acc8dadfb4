// The few MQTT 3.1.1 packets that a load client says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::bench {

inline void put_u16(std::string& out, unsigned v) {
  out.push_back(static_cast<char>(v >> 8));
  out.push_back(static_cast<char>(v));
}
inline void put_text(std::string& out, std::string_view text) {
  put_u16(out, static_cast<unsigned>(text.size()));
  out.append(text);
}
inline void put_head(std::string& out, unsigned header, std::size_t remaining) {
  out.push_back(static_cast<char>(header));
  do {
    out.push_back(static_cast<char>((remaining & 127) | (remaining > 127 ? 128 : 0)));
    remaining >>= 7;
  } while (remaining != 0);
}
inline void put_packet(std::string& out, unsigned header, std::string_view body) {
  put_head(out, header, body.size());
  out.append(body);
}
// PUBACK, PUBREC, PUBREL, PUBCOMP.
inline void put_answer(std::string& out, unsigned header, unsigned id) {
  out.push_back(static_cast<char>(header));
  out.push_back(2);
  put_u16(out, id);
}
inline void put_connect(std::string& out, std::string_view id, bool clean, unsigned keep_alive_s,
                        std::string_view user, std::string_view password) {
  std::string body;
  put_text(body, "MQTT");
  body.push_back(4);
  body.push_back(static_cast<char>((clean ? 2 : 0) | (user.empty() ? 0 : 0xc0)));
  put_u16(body, keep_alive_s);
  put_text(body, id);
  if (!user.empty()) {
    put_text(body, user);
    put_text(body, password);
  }
  put_packet(out, 0x10, body);
}
inline void put_publish(std::string& out, std::string_view topic, int qos, unsigned id, bool again,
                        std::string_view payload) {
  put_head(out, 0x30u | (static_cast<unsigned>(qos) << 1) | (again && qos != 0 ? 8u : 0u),
           2 + topic.size() + (qos != 0 ? 2 : 0) + payload.size());
  put_text(out, topic);
  if (qos != 0) put_u16(out, id);
  out.append(payload);
}
inline void put_subscribe(std::string& out, unsigned id, std::string_view filter, int qos) {
  std::string body;
  put_u16(body, id);
  put_text(body, filter);
  body.push_back(static_cast<char>(qos));
  put_packet(out, 0x82, body);
}

}  // namespace berth::bench
