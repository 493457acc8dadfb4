#include "gateway/cluster/bridges.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace berth::gateway::cluster {

namespace {

constexpr auto kAgain = std::chrono::milliseconds(200);
constexpr std::size_t kScratch = 256 * 1024;
constexpr std::size_t kUnsentMax = 64u << 20;           // routes and acknowledgements
constexpr std::uint64_t kGenerations = (1u << 28) - 1;  // a subscription identifier

// Another for each connection of this partition, of whichever engine.
std::uint32_t generation_of(std::uint64_t term, std::uint32_t attempts) {
  return static_cast<std::uint32_t>((term * 1024 + attempts) % kGenerations) + 1;
}

}  // namespace

Bridges::Bridges(boost::asio::io_context& io, edge::EdgeShard& inner, engine::EngineShard& engine,
                 Home home)
    : io_(io),
      inner_(inner),
      engine_(engine),
      home_(home),
      poller_(io, *this),
      again_(io),
      scratch_(kScratch) {
  poller_.start();
  for (std::uint32_t p = 0; p < home_.partitions; ++p) {
    if (p != home_.partition) streams_.emplace_back().source = p;
  }
  engine_.broker().watch_routes([this](std::string_view raw, bool added) {
    for (Stream& s : streams_) {
      if (s.bridge) s.bridge->route(raw, added);
    }
    flush_soon();
  });
  for (Stream& s : streams_) open(s);
  flush();
}

Bridges::~Bridges() {
  engine_.broker().watch_routes({});
  for (Stream& s : streams_) close(s);
}

void Bridges::open(Stream& s) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    BERTH_LOG(err, "no bridge partition={} from={} errno={}", home_.partition, s.source, errno);
    return open_later();
  }
  s.fd = ends[0];
  s.want_write = false;
  s.out.clear();
  poller_.add(s.fd, s.source, EPOLLIN);
  inner_.admit_local(ends[1], s.source);
  s.bridge = std::make_unique<session::Bridge>(engine_.broker(), home_.partition, s.source,
                                               generation_of(home_.term, s.attempts++),
                                               [this, &s](std::string_view bytes) {
                                                 s.out.append(bytes);
                                                 flush_soon();
                                               });
  s.bridge->start();
}

void Bridges::close(Stream& s) {
  s.bridge.reset();
  if (s.fd < 0) return;
  poller_.remove(s.fd);
  ::close(std::exchange(s.fd, -1));
}

void Bridges::open_later() {
  again_.expires_after(kAgain);
  again_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    for (Stream& s : streams_) {
      if (s.fd < 0) open(s);
    }
    flush();
  });
}

void Bridges::on_event(std::uint64_t tag, std::uint32_t events) {
  for (Stream& s : streams_) {
    if (s.source != tag || s.fd < 0) continue;
    bool good = true;
    if ((events & EPOLLOUT) != 0) good = write(s);
    if (good && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) good = read(s);
    if (good) return;
    BERTH_LOG(info, "bridge ended partition={} from={}", home_.partition, s.source);
    close(s);
    return open_later();
  }
}

bool Bridges::read(Stream& s) {
  const ssize_t n = ::recv(s.fd, scratch_.data(), scratch_.size(), 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  return s.bridge->received({scratch_.data(), static_cast<std::size_t>(n)}, engine_.now());
}

bool Bridges::write(Stream& s) {
  if (!s.out.empty()) {
    const ssize_t n = ::send(s.fd, s.out.data(), s.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (n > 0) s.out.erase(0, static_cast<std::size_t>(n));
  }
  if (s.out.size() > kUnsentMax) return false;  // all is said again when it takes something
  if (s.want_write == s.out.empty()) {
    s.want_write = !s.out.empty();
    poller_.modify(s.fd, s.source, s.want_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  return true;
}

void Bridges::on_turn_end() {
  engine_.turn_end();
  flush();
}

void Bridges::flush() {
  for (Stream& s : streams_) {
    if (s.fd < 0) continue;
    s.bridge->flush();
    if (write(s)) continue;
    close(s);
    open_later();
  }
}

// Acknowledgements come with commits, routes with what devices say: not in a turn of ours.
void Bridges::flush_soon() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(io_, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    flush_posted_ = false;
    flush();
  });
}

}  // namespace berth::gateway::cluster
