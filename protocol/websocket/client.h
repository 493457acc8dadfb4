// MQTT over WebSocket: the client's side of one stream, sans-I/O. For tests and the load generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::protocol::websocket {

inline std::string client_request(const std::string& path) {
  return "GET " + path +
         " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
}

// RFC 6455 5.2; masked.
inline std::string ws_frame(unsigned first, std::string payload) {
  std::string f(1, static_cast<char>(first));
  const int width = payload.size() < 126 ? 0 : payload.size() < 65536 ? 2 : 8;
  f.push_back(static_cast<char>(0x80 | (width == 0 ? payload.size() : width == 2 ? 126 : 127)));
  for (int i = width; i-- > 0;)
    f.push_back(static_cast<char>(static_cast<std::uint64_t>(payload.size()) >> (8 * i)));
  const std::string mask("\x5a\xa5\x0f\xf1", 4);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] ^= mask[i % 4];
  return f + mask + payload;
}

// What a server says on a WebSocket: its response, then frames (5.2), not masked. It trusts the
// server: what has not come whole is kept, however long it is.
class ClientInput {
 public:
  std::string response;               // status line and fields
  std::vector<std::string> controls;  // first byte and payload
  // Returns what has come of the stream that binary frames carry.
  std::string take(std::string_view bytes) {
    in_.append(bytes);
    std::string data;
    if (response.empty()) {
      const std::size_t end = in_.find("\r\n\r\n");
      if (end == std::string::npos) return data;
      response = in_.substr(0, end + 4);
      in_.erase(0, end + 4);
    }
    while (take_frame(data)) {
    }
    return data;
  }

 private:
  bool take_frame(std::string& data) {
    if (in_.size() < 2) return false;
    const auto at = [this](std::size_t i) { return static_cast<unsigned char>(in_[i]); };
    const unsigned length = at(1);
    const std::size_t width = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (in_.size() < 2 + width) return false;
    std::size_t size = width == 0 ? length : 0;
    for (std::size_t i = 0; i < width; ++i) size = (size << 8) | at(2 + i);
    if (in_.size() < 2 + width + size) return false;
    const std::string payload = in_.substr(2 + width, size);
    if ((at(0) & 8) != 0) {
      controls.push_back(in_.substr(0, 1) + payload);
    } else {
      data += payload;
    }
    in_.erase(0, 2 + width + size);
    return true;
  }
  std::string in_;
};

}  // namespace berth::protocol::websocket
