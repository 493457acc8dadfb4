// A blocking socket for tests that say exactly which bytes go where.
#pragma once

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/process.h"
#include "tests/support/wire.h"

namespace berth::test {

class RawClient {
 public:
  explicit RawClient(int port, int receive_buffer = 0, unsigned from = 0)
      : fd_(connect_loopback(port, receive_buffer, from)), connected_(fd_ >= 0), gone_(fd_ < 0) {}
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  bool connected() const { return connected_; }
  // False: the other side has gone. Blocks while the other side does not read.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // As much as goes without blocking.
  std::size_t send_some(std::string_view bytes) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  // Packets until one of `type` came (it is the last), the peer closed, or the deadline.
  std::vector<Packet> until(unsigned type,
                            std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    std::vector<Packet> all;
    const auto deadline = Clock::now() + limit;
    while (true) {
      while (!ready_.empty()) {
        all.push_back(ready_.front());
        ready_.erase(ready_.begin());
        if (all.back().type == type) return all;
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0 || !receive(static_cast<int>(left))) return all;
    }
  }
  bool closed_within(std::chrono::milliseconds limit) {
    const auto deadline = Clock::now() + limit;
    while (!gone_ && Clock::now() < deadline) receive(50);
    return gone_;
  }
  bool gone() const { return gone_; }

 private:
  bool receive(int wait_ms) {
    pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
    if (gone_ || poll(&p, 1, wait_ms) <= 0) return false;
    char buffer[65536];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) {
      gone_ = true;
      return false;
    }
    in_.append(buffer, static_cast<std::size_t>(n));
    for (auto& packet : take_packets(in_)) ready_.push_back(std::move(packet));
    return true;
  }
  int fd_;
  bool connected_;
  bool gone_;
  std::string in_;
  std::vector<Packet> ready_;
};

// A client that has its CONNACK; one that has its SUBACK too.
// `from`: as of connect_loopback().
inline std::unique_ptr<RawClient> connected(int port, const ConnectOptions& o, unsigned from = 0) {
  auto c = std::make_unique<RawClient>(port, 0, from);
  c->send(connect(o));
  EXPECT_FALSE(c->until(2).empty());
  return c;
}
inline std::unique_ptr<RawClient> subscribed(int port, const ConnectOptions& o,
                                             std::string_view filter, int qos, unsigned from = 0) {
  auto c = connected(port, o, from);
  c->send(subscribe(1, filter, qos));
  EXPECT_FALSE(c->until(9).empty());
  return c;
}

}  // namespace berth::test
