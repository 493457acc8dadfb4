#include "tests/support/lying_redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace berth::test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

// Bytes of one direction, read until a whole value is there.
class Bytes {
 public:
  Bytes(int fd, const std::atomic<bool>& running) : fd_(fd), running_(running) {}
  // The end of the line that begins at `at`, behind its CRLF; npos: the stream has ended.
  std::size_t line(std::size_t at) {
    for (;;) {
      const std::size_t end = data_.find("\r\n", at);
      if (end != std::string::npos) return end + 2;
      if (!more()) return std::string::npos;
    }
  }
  // The end of the value (RESP2) that begins at `at`.
  std::size_t value(std::size_t at) {
    const std::size_t end = line(at);
    if (end == std::string::npos) return end;
    const long n = std::atol(data_.c_str() + at + 1);
    if (data_[at] == '$') {
      if (n < 0) return end;
      while (data_.size() < end + static_cast<std::size_t>(n) + 2) {
        if (!more()) return std::string::npos;
      }
      return end + static_cast<std::size_t>(n) + 2;
    }
    std::size_t next = end;
    for (long i = 0; data_[at] == '*' && i < n; ++i) {
      next = value(next);
      if (next == std::string::npos) return next;
    }
    return next;
  }
  std::string take(std::size_t size) {
    std::string out = data_.substr(0, size);
    data_.erase(0, size);
    return out;
  }

 private:
  bool more() {
    char buffer[65536];
    pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
    while (running_ && poll(&p, 1, 20) == 0) {
    }
    const ssize_t n = running_ ? ::recv(fd_, buffer, sizeof buffer, 0) : 0;
    if (n <= 0) return false;
    data_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }
  int fd_;
  const std::atomic<bool>& running_;
  std::string data_;
};

LyingRedis::Command command_of(const std::string& raw) {
  LyingRedis::Command out;
  std::size_t at = raw.find("\r\n") + 2;
  while (at < raw.size()) {
    const auto n = static_cast<std::size_t>(std::atol(raw.c_str() + at + 1));
    at = raw.find("\r\n", at) + 2;
    out.push_back(raw.substr(at, n));
    at += n + 2;
  }
  return out;
}

bool send_all(int fd, const std::string& bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

LyingRedis::LyingRedis(int real_port, std::function<Lie(const Command&)> lie)
    : real_port_(real_port), lie_(std::move(lie)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a = loopback(0);
  socklen_t size = sizeof a;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&a), size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&a), &size) != 0)
    std::abort();
  port_ = ntohs(a.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

LyingRedis::~LyingRedis() {
  running_ = false;
  acceptor_.join();
  for (std::thread& t : threads_) t.join();
  ::close(listener_);
}

void LyingRedis::accept_all() {
  while (running_) {
    pollfd p{.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&p, 1, 20) != 1) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    ++connections_;
    threads_.emplace_back([this, client] { serve(client); });
  }
}

LyingRedis::Lie LyingRedis::ask(const Command& command) {
  const std::lock_guard lock(mutex_);
  Lie lie = lie_(command);
  if (lie.instead || !lie.before.empty() || !lie.after.empty()) ++lies_;
  return lie;
}

void LyingRedis::serve(int client) {
  const int one = 1;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in a = loopback(real_port_);
  Bytes asked(client, running_);
  Bytes answered(server, running_);
  bool good = connect(server, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  while (good && running_) {
    const std::size_t size = asked.value(0);
    if (size == std::string::npos) break;
    const std::string request = asked.take(size);
    const Lie lie = ask(command_of(request));
    if (lie.instead) {
      good = send_all(client, *lie.instead);
      continue;
    }
    good = send_all(server, request);
    const std::size_t answer = good ? answered.value(0) : std::string::npos;
    good = answer != std::string::npos &&
           send_all(client, lie.before + answered.take(answer) + lie.after);
  }
  ::close(server);
  ::close(client);
}

}  // namespace berth::test
