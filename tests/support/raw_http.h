// A connection to an admin port, byte by byte.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/support/loopback.h"

namespace berth::test {

class RawHttp {
 public:
  explicit RawHttp(int port) : fd_(connect_loopback(port)) {}
  ~RawHttp() { ::close(fd_); }
  RawHttp(const RawHttp&) = delete;
  RawHttp& operator=(const RawHttp&) = delete;
  void send(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
  }
  // What comes until `enough` is in it, the end, or the limit.
  std::string receive(const std::string& enough, int limit_ms = 20'000) {
    while (received_.find(enough) == std::string::npos) {
      pollfd p{fd_, POLLIN, 0};
      if (::poll(&p, 1, limit_ms) <= 0) break;
      char buffer[16384];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      ended_ = n <= 0;
      if (ended_) break;
      received_.append(buffer, static_cast<std::size_t>(n));
    }
    return received_;
  }
  bool ended(int limit_ms = 20'000) {
    receive("no such text", limit_ms);
    return ended_;
  }
  bool open() { return !ended(0); }

 private:
  int fd_;
  bool ended_ = false;
  std::string received_;
};

}  // namespace berth::test
