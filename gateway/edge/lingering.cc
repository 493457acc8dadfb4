#include "gateway/edge/lingering.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace berth::gateway::edge {

namespace {
constexpr std::size_t kRead = 16 * 1024;
constexpr int kReadsAtOnce = 4;
constexpr std::uint32_t kTicks = 2;
}  // namespace

void Lingering::stop() {
  for (Socket& s : sockets_) close(s);
  sockets_.clear();
  poller_.stop();
}

void Lingering::take(int fd) {
  if (most_ == 0 || ::shutdown(fd, SHUT_WR) != 0) {
    ::close(fd);
    return;
  }
  while (open_ >= most_) {
    close(sockets_.front());
    forget_closed();
  }
  sockets_.push_back({.fd = fd});
  ++open_;
  poller_.add(fd, first_ + sockets_.size() - 1, EPOLLIN);
}

void Lingering::on_event(std::uint64_t tag, std::uint32_t) {
  if (tag < first_ || tag - first_ >= sockets_.size()) return;
  Socket& s = sockets_[tag - first_];
  if (s.fd >= 0) read(s);
  forget_closed();
}

void Lingering::read(Socket& s) {
  static thread_local char nowhere[kRead];
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t n = ::recv(s.fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return close(s);
    s.bytes += static_cast<std::size_t>(n);
    if (s.bytes > kBytesMax) return close(s);
  }
}

void Lingering::tick() {
  for (Socket& s : sockets_) {
    if (s.fd >= 0 && ++s.ticks >= kTicks) close(s);
  }
  forget_closed();
}

void Lingering::close(Socket& s) {
  if (s.fd < 0) return;
  ::close(std::exchange(s.fd, -1));
  --open_;
}

void Lingering::forget_closed() {
  while (!sockets_.empty() && sockets_.front().fd < 0) {
    sockets_.pop_front();
    ++first_;
  }
}

}  // namespace berth::gateway::edge
