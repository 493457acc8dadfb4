#include "gateway/io/poller.h"

#include <cerrno>
#include <system_error>

#include "base/assert.h"

namespace berth::gateway::io {
namespace {
constexpr std::size_t kEventsPerTurn = 512;
constexpr int kBusy = 4;           // so many ready at once: more will be, look again at once
constexpr int kTurnsPerWake = 32;  // then timers and posted work get their turn
}  // namespace

Poller::Poller(boost::asio::io_context& io, Handler& handler)
    : handler_(handler), set_(io), events_(kEventsPerTurn) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  set_.assign(fd);
}

void Poller::start() {
  wait();
}
void Poller::stop() {
  boost::system::error_code ignored;
  set_.close(ignored);
}

void Poller::add(int fd, std::uint64_t tag, std::uint32_t events) {
  epoll_event ev{.events = events, .data = {.u64 = tag}};
  BERTH_ASSERT(epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, fd, &ev) == 0);
}
void Poller::modify(int fd, std::uint64_t tag, std::uint32_t events) {
  epoll_event ev{.events = events, .data = {.u64 = tag}};
  BERTH_ASSERT(epoll_ctl(set_.native_handle(), EPOLL_CTL_MOD, fd, &ev) == 0);
}
void Poller::remove(int fd) {
  epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

void Poller::wait() {
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                  [this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
                    if (ec || alive.expired()) return;
                    drain();
                    if (!alive.expired() && set_.is_open()) wait();
                  });
}

void Poller::drain() {
  for (int turn = 0; turn < kTurnsPerWake && set_.is_open(); ++turn) {
    const int n =
        epoll_wait(set_.native_handle(), events_.data(), static_cast<int>(events_.size()), 0);
    if (n <= 0) return;
    for (int i = 0; i < n; ++i) handler_.on_event(events_[i].data.u64, events_[i].events);
    handler_.on_turn_end();
    if (n < kBusy) return;  // Asio's wait finds what came meanwhile
  }
}

}  // namespace berth::gateway::io
