// A device that speaks MQTT over WebSocket, one blocking socket; says exactly which frames go.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/process.h"
#include "tests/support/wire.h"

namespace berth::test {

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

// What a server says on a WebSocket: its response, then frames (5.2), not masked.
class WsInput {
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

class WsClient : public WsInput {
 public:
  static std::string request(const std::string& path = "/mqtt") {
    return "GET " + path +
           " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
  }
  explicit WsClient(int port, const std::string& path = "/mqtt", int receive_buffer = 0)
      : fd_(connect_loopback(port, receive_buffer)), gone_(fd_ < 0) {
    if (!path.empty()) raw(request(path));
  }
  ~WsClient() {
    if (fd_ >= 0) ::close(fd_);
  }
  WsClient(const WsClient&) = delete;
  WsClient& operator=(const WsClient&) = delete;

  bool raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool send(const std::string& mqtt) { return raw(ws_frame(0x82, mqtt)); }
  // MQTT packets until one of `type` came (it is the last), the end, or the deadline.
  std::vector<Packet> until(unsigned type,
                            std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    std::vector<Packet> all;
    const auto deadline = Clock::now() + limit;
    for (;;) {
      for (Packet& p : take_packets(mqtt_)) ready_.push_back(std::move(p));
      while (!ready_.empty()) {
        all.push_back(ready_.front());
        ready_.erase(ready_.begin());
        if (all.back().type == type) return all;
      }
      if (!receive(deadline)) return all;
    }
  }
  bool connect_mqtt(const ConnectOptions& o) { return send(connect(o)) && !until(2).empty(); }
  bool wait(const std::function<bool()>& done) {
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    while (!done() && receive(deadline)) {
    }
    return done();
  }
  bool gone() const { return gone_; }

 private:
  bool receive(Clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
    if (gone_ || left <= 0 || poll(&p, 1, static_cast<int>(left)) <= 0) return false;
    char some[65536];
    const ssize_t n = recv(fd_, some, sizeof some, 0);
    if (n <= 0) {
      gone_ = true;
      return false;
    }
    mqtt_ += take({some, static_cast<std::size_t>(n)});
    return true;
  }
  int fd_;
  bool gone_;
  std::string mqtt_;
  std::vector<Packet> ready_;
};

}  // namespace berth::test
