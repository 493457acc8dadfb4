// A device that speaks MQTT over WebSocket, one blocking socket; says exactly which frames go.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

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

class WsClient {
 public:
  static std::string request(const std::string& path = "/mqtt") {
    return "GET " + path +
           " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
  }
  explicit WsClient(int port, const std::string& path = "/mqtt", int receive_buffer = 0)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer != 0)
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    gone_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0;
    if (!path.empty()) raw(request(path));
  }
  ~WsClient() { ::close(fd_); }
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
  std::string response;               // status line and fields
  std::vector<std::string> controls;  // first byte and payload
  std::vector<std::size_t> frames;    // of data: payload sizes
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
    in_.append(some, static_cast<std::size_t>(n));
    if (response.empty()) {
      const std::size_t end = in_.find("\r\n\r\n");
      if (end == std::string::npos) return true;
      response = in_.substr(0, end + 4);
      in_.erase(0, end + 4);
    }
    while (take_frame()) {
    }
    return true;
  }
  bool take_frame() {
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
      frames.push_back(size);
      mqtt_ += payload;
    }
    in_.erase(0, 2 + width + size);
    return true;
  }
  int fd_;
  bool gone_ = false;
  std::string in_, mqtt_;
  std::vector<Packet> ready_;
};

}  // namespace berth::test
