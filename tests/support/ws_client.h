// A device that speaks MQTT over WebSocket, one blocking socket; says exactly which frames go.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/websocket/client.h"
#include "tests/support/loopback.h"
#include "tests/support/process.h"
#include "tests/support/wire.h"

namespace berth::test {

using WsInput = protocol::websocket::ClientInput;
using protocol::websocket::ws_frame;

class WsClient : public WsInput {
 public:
  static std::string request(const std::string& path = "/mqtt") {
    return protocol::websocket::client_request(path);
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
