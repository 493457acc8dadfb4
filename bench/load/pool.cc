#include "bench/load/pool.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/clock.h"

namespace berth::bench {

namespace {
constexpr int kEvents = 512;
constexpr std::int64_t kSweepRound_ns = 1'000'000'000;
// Pauses between attempts: so that a server that is gone is found soon, and not stormed.
constexpr std::int64_t kRetry_ns = 20 * base::kMs;
constexpr int kDoublingsMax = 4;  // 320 ms
constexpr std::size_t kInputMax = 4 << 20;
}  // namespace

void Client::on_connected(bool session_present) {
  const std::int64_t took = base::monotonic_ns() - wanted_ns_;
  (cut_ ? pool_->counts_.back : pool_->counts_.connect).record(took);
  add(pool_->counts_.connects);
  if (served_ && durable_ && !session_present) add(pool_->counts_.sessions_lost);
}
void Client::on_ready() {
  if (state_ != State::open) return;
  state_ = State::ready;
  served_ = true;
  cut_ = false;
  failures_ = 0;
  ++pool_->ready_;
  --pool_->under_way_;
  pool_->events_.on_ready(*this);
}
void Client::on_message(std::string_view payload) {
  pool_->events_.on_message(*this, payload);
}
void Client::on_settled(std::uint32_t number) {
  pool_->events_.on_settled(*this, number);
}

Pool::Pool(Options options, ClientEvents& events, Counts& counts)
    : options_(std::move(options)),
      events_(events),
      counts_(counts),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll");
}

Pool::~Pool() {
  clients_.clear();
  ::close(epoll_);
}

Client& Pool::add(std::unique_ptr<Talk> talk, bool durable) {
  clients_.push_back(std::make_unique<Client>(static_cast<std::uint32_t>(clients_.size()),
                                              std::move(talk), durable));
  clients_.back()->pool_ = this;
  return *clients_.back();
}

void Pool::open(Client& c, std::int64_t wanted_ns) {
  if (c.state_ != Client::State::closed) return;
  c.state_ = Client::State::waiting;
  c.wanted_ns_ = wanted_ns;
  waiting_.push_back(&c);
}

void Pool::say(Client& c) {
  if (c.dirty_) return;
  c.dirty_ = true;
  dirty_.push_back(&c);
}

void Pool::close(Client& c) {
  if (c.stream_) {
    if (c.ready()) c.talk().bye();
    c.stream_->send(c.talk().out());
    leave(c);
  }
  c.state_ = Client::State::closed;
}

void Pool::cut_all(std::int64_t now_ns) {
  for (const auto& c : clients_) {
    if (!c->stream_) continue;
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(c->stream_->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    leave(*c);
    bench::add(counts_.cuts);
    c->state_ = Client::State::closed;
    c->cut_ = c->served_;
    open(*c, now_ns);
  }
}

// Forgets its connection.
void Pool::leave(Client& c) {
  if (c.ready()) {
    --ready_;
  } else {
    --under_way_;
  }
  c.stream_.reset();
  c.in_.clear();
}

// Its connection has ended, and not by us.
void Pool::down(Client& c) {
  const bool served = c.ready();
  leave(c);
  bench::add(served ? counts_.cuts : counts_.connect_failures);
  if (served) {
    c.wanted_ns_ = base::monotonic_ns();
    c.cut_ = true;
  }
  fail(c);
}

void Pool::fail(Client& c) {
  c.state_ = Client::State::waiting;
  const int doublings = std::min<int>(c.failures_, kDoublingsMax);
  if (c.failures_ < 255) ++c.failures_;
  const std::int64_t pause = kRetry_ns << doublings;
  // Spread by its place, over as much again.
  retries_.push({base::monotonic_ns() + pause + pause * (c.index_ % 97) / 97, &c});
}

void Pool::start_waiting(std::int64_t now_ns) {
  while (!retries_.empty() && retries_.top().at_ns <= now_ns) {
    if (retries_.top().client->state_ == Client::State::waiting)
      waiting_.push_back(retries_.top().client);
    retries_.pop();
  }
  while (!waiting_.empty() && under_way_ < options_.under_way_max) {
    Client& c = *waiting_.front();
    waiting_.pop_front();
    if (c.state_ == Client::State::waiting && !c.stream_) connect(c, now_ns);
  }
}

void Pool::connect(Client& c, std::int64_t now_ns) {
  const auto* to = reinterpret_cast<const sockaddr*>(&options_.target.address);
  const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  bool good = true;
  if (!options_.sources.empty()) {
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr = options_.sources[next_source_++ % options_.sources.size()];
    good = bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0;
  }
  good = good && (::connect(fd, to, options_.target.address_size) == 0 || errno == EINPROGRESS);
  if (!good) {
    ::close(fd);
    bench::add(counts_.connect_failures);
    return fail(c);
  }
  c.stream_ = std::make_unique<Stream>(fd, options_.target.via, options_.target.path);
  c.state_ = Client::State::connecting;
  c.since_ns_ = now_ns;
  c.wants_write_ = true;
  ++under_way_;
  epoll_event ev{.events = EPOLLIN | EPOLLOUT, .data = {.ptr = &c}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &ev);
}

void Pool::watch(Client& c, bool write) {
  if (c.wants_write_ == write) return;
  c.wants_write_ = write;
  epoll_event ev{.events = EPOLLIN | (write ? static_cast<unsigned>(EPOLLOUT) : 0u),
                 .data = {.ptr = &c}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, c.stream_->fd(), &ev);
}

void Pool::on_event(Client& c, unsigned events) {
  if (!c.stream_) return;  // ended earlier in this turn
  if (c.state_ == Client::State::connecting) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return down(c);
    c.state_ = Client::State::open;
    c.talk().opened();
    say(c);
  }
  const bool alive = c.stream_->receive(c.in_);
  const bool good = c.in_.empty() || (c.in_.size() <= kInputMax && c.talk().receive(c.in_, c));
  if (!c.stream_) return;
  if (!alive || !good) return down(c);
  if ((events & EPOLLOUT) != 0 || !c.talk().out().empty()) say(c);
}

void Pool::flush() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    Client& c = *dirty_[i];
    c.dirty_ = false;
    if (!c.stream_ || c.state_ == Client::State::connecting) continue;
    if (!c.stream_->send(c.talk().out())) {
      down(c);
      continue;
    }
    if (c.ready()) c.since_ns_ = base::monotonic_ns();
    watch(c, c.stream_->wants_write() || !c.talk().out().empty());
  }
  dirty_.clear();
}

// A hundredth of the clients each time.
void Pool::sweep(std::int64_t now_ns) {
  if (now_ns < sweep_ns_ || clients_.empty()) return;
  sweep_ns_ = now_ns + kSweepRound_ns / 100;
  for (std::size_t n = clients_.size() / 100 + 1; n != 0; --n) {
    Client& c = *clients_[swept_++ % clients_.size()];
    if (!c.stream_) continue;
    if (!c.ready() && now_ns - c.since_ns_ > options_.connect_limit_ns) {
      down(c);
    } else if (c.ready() && now_ns - c.since_ns_ > options_.ping_ns) {
      c.talk().ping();
      say(c);
    }
  }
}

void Pool::turn(std::int64_t until_ns) {
  std::int64_t now = base::monotonic_ns();
  start_waiting(now);
  flush();
  if (!retries_.empty()) until_ns = std::min(until_ns, retries_.top().at_ns);
  const std::int64_t wait = std::clamp<std::int64_t>(until_ns - now, 0, kSweepRound_ns / 10);
  const timespec limit{.tv_sec = 0, .tv_nsec = wait};
  epoll_event events[kEvents];
  const int n = epoll_pwait2(epoll_, events, kEvents, &limit, nullptr);
  for (int i = 0; i < n; ++i) on_event(*static_cast<Client*>(events[i].data.ptr), events[i].events);
  flush();
  sweep(base::monotonic_ns());
  counts_.connections.store(ready_, std::memory_order_relaxed);
}

}  // namespace berth::bench
