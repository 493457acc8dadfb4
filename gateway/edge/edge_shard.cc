// Accept, read, keep-alive.
#include "gateway/edge/edge_shard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/assert.h"
#include "base/clock.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;

namespace {

constexpr std::uint64_t kListenerTag = UINT64_MAX;
constexpr std::size_t kScratch = 128 * 1024;  // one read, at most
constexpr std::size_t kInputBeforeConnect = 64 * 1024;
constexpr int kAcceptsPerTurn = 128;
constexpr std::uint32_t kStall_s = 3;  // a tick this late: we were not running

std::uint32_t seconds() {
  return static_cast<std::uint32_t>(base::monotonic_ns() / 1'000'000'000);
}

}  // namespace

EdgeShard::EdgeShard(boost::asio::io_context& io, EdgeOptions options, metrics::EdgeProbe& probe)
    : options_(options),
      probe_(probe),
      io_(io),
      poller_(io, *this),
      tick_(io),
      accept_later_(io),
      drain_timer_(io),
      served_(options.partitions),
      scratch_(kScratch) {
  now_s_ = last_tick_s_ = seconds();
  probe_.connections_limit = options_.max_connections;
}

EdgeShard::~EdgeShard() {
  stop();
}

void EdgeShard::listen(int fd) {
  listener_ = fd;
  accepting_ = true;
  const int one = 1;  // accepted sockets inherit both
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &options_.user_timeout_ms,
             sizeof options_.user_timeout_ms);
  poller_.add(fd, kListenerTag, EPOLLIN);
}

void EdgeShard::start() {
  poller_.start();
  arm_tick();
}

void EdgeShard::stop_accepting() {
  if (listener_ < 0) return;
  poller_.remove(listener_);
  ::close(listener_);
  listener_ = -1;
  accepting_ = false;
  accept_later_.cancel();
}

void EdgeShard::stop() {
  stop_accepting();
  tick_.cancel();
  drain_timer_.cancel();
  for_each([](Connection& c) {
    if (c.fd >= 0) ::close(std::exchange(c.fd, -1));
    c.state = Connection::State::free;
  });
  poller_.stop();
}

Connection* EdgeShard::find(base::ConnId conn) {
  if (conn.slot >= alive_.size()) return nullptr;
  Connection& c = at(conn.slot);
  return c.state != Connection::State::free && c.generation == conn.generation ? &c : nullptr;
}

void EdgeShard::on_event(std::uint64_t tag, std::uint32_t events) {
  if (tag == kListenerTag) return accept_some();
  Connection* c = find(base::ConnId::from_packed(tag));
  if (c == nullptr || c->fd < 0) return;
  if ((events & EPOLLOUT) != 0) write_out(*c);
  if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(*c);
}

void EdgeShard::on_turn_end() {
  engines_turn_end();
  flush();
}

void EdgeShard::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn && accepting_; ++i) {
    if (!admission()) return;
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd =
        accept4(listener_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE) {  // the sweep listens again
        poller_.modify(listener_, kListenerTag, 0);
        accepting_ = false;
        BERTH_LOG(err, "accept failed error={} open={}", std::strerror(errno), open_);
      }
      return;
    }
    ++probe_.accepted;
    if (open_ >= options_.max_connections) {
      ++probe_.accept_refused;
      ::close(fd);
      continue;
    }
    admit(fd, peer);
  }
}

// A token bucket of a quarter of a second: after a mass event devices are let in at the rate their
// engine can take, the rest wait in the kernel's queue or try again (field lesson: retry storms).
bool EdgeShard::admission() {
  if (options_.accept_per_s == 0) return true;
  const std::int64_t now = base::monotonic_ns();
  const double rate = options_.accept_per_s;
  const double gained = static_cast<double>(now - std::exchange(admissions_ns_, now)) * 1e-9 * rate;
  admissions_ = std::min(admissions_ + gained, std::max(rate / 4, 1.0));
  if (admissions_ >= 1) {
    admissions_ -= 1;
    return true;
  }
  pause_accepting();
  return false;
}

void EdgeShard::pause_accepting() {
  ++probe_.accept_paused;
  accepting_ = false;
  poller_.modify(listener_, kListenerTag, 0);
  accept_later_.expires_after(std::chrono::milliseconds(20));
  accept_later_.async_wait([this](boost::system::error_code ec) {
    if (ec || listener_ < 0) return;
    accepting_ = true;
    poller_.modify(listener_, kListenerTag, EPOLLIN);
  });
}

Connection& EdgeShard::new_connection(int fd) {
  if (free_.empty()) {
    const auto base_slot = static_cast<std::uint32_t>(slabs_.size() * kSlab);
    slabs_.push_back(std::make_unique<Connection[]>(kSlab));
    alive_.resize(slabs_.size() * kSlab);
    for (std::uint32_t i = kSlab; i-- > 0;) free_.push_back(base_slot + i);
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  Connection& c = at(slot);
  const std::uint32_t generation = c.generation + 1;
  c = Connection{};
  c.slot = slot;
  c.generation = generation;
  c.fd = fd;
  c.state = Connection::State::open;
  ++open_;
  return c;
}

void EdgeShard::admit(int fd, const sockaddr_storage& peer) {
  Connection& c = new_connection(fd);
  if (served_.size() == 1) c.partition = 0;
  if (peer.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(peer);
    c.peer_address = ntohl(in.sin_addr.s_addr);
    c.peer_port = ntohs(in.sin_port);
    c.loopback = (c.peer_address >> 24) == 127;
  } else {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(peer);
    std::memcpy(&c.peer_address, in6.sin6_addr.s6_addr + 12, 4);
    c.peer_address = ntohl(c.peer_address);
    c.peer_port = ntohs(in6.sin6_port);
    c.loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
                 (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && (c.peer_address >> 24) == 127);
  }
  alive_[c.slot] = {now_s_, options_.connect_timeout_s};
  poller_.add(fd, c.id().packed(), EPOLLIN);
}

void EdgeShard::admit_local(int fd, std::uint32_t partition) {
  Connection& c = new_connection(fd);
  c.partition = static_cast<std::uint8_t>(partition);
  c.loopback = true;
  alive_[c.slot] = {now_s_, 0};
  poller_.add(fd, c.id().packed(), EPOLLIN);
}

// One read a turn: a short one has emptied the socket, a full one is followed by another turn.
void EdgeShard::on_readable(Connection& c) {
  if (!c.reading || c.state != Connection::State::open) {
    char probe;  // closing or paused: only learn whether the peer is gone
    const ssize_t n = recv(c.fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) end(c, c.reason);
    return;
  }
  const ssize_t n = recv(c.fd, scratch_.data(), scratch_.size(), 0);
  if (n > 0) {
    probe_.bytes_received += static_cast<std::uint64_t>(n);
    on_bytes(c, {scratch_.data(), static_cast<std::size_t>(n)});
  } else if (n == 0) {
    end(c, CloseReason::client);
  } else if (errno != EAGAIN && errno != EINTR) {
    end(c, CloseReason::peer_reset);
  }
}

void EdgeShard::on_bytes(Connection& c, base::ByteView bytes) {
  const base::ConnId conn = c.id();
  if (c.connected) alive_[conn.slot].last_seen_s = now_s_;
  if (c.in_off == 0 && quarantined(c, bytes)) {
    ++probe_.accept_quarantined;
    return end(c, CloseReason::poison);
  }
  const auto pong = [&] {
    if (!c.connected) return;
    static constexpr std::string_view kPingresp("\xd0\x00", 2);
    ++probe_.pings;
    c.out.append(kPingresp);
    mark_dirty(c);
  };
  if (!c.walker.walk(bytes, pong)) return end(c, CloseReason::protocol_error);
  const std::uint64_t offset = c.in_off;
  c.in_off += bytes.size();
  if (c.partition == Connection::kUnplaced && !place(c, bytes)) {
    if (c.state == Connection::State::open) keep(c, bytes);
    return check_input_limits(c);
  }
  link::EnginePort& engine = engine_of(c);
  if (!c.attached && engine.serving()) {
    attach(c);
    if (!c.in.empty()) engine.input(conn, c.in_ack, c.in_ack, base::as_bytes(c.in));
  }
  if (engine.survives_engine()) {
    keep(c, bytes);
    if (c.attached) engine.input(conn, offset, c.in_ack, bytes);
  } else if (c.in.empty()) {
    const std::size_t used = engine.input(conn, offset, offset, bytes);
    if (find(conn) == nullptr) return;
    c.in_ack += used;
    if (used < bytes.size()) keep(c, bytes.subspan(used));
  } else {
    keep(c, bytes);
    reoffer(conn);
  }
  if (Connection* still = find(conn); still != nullptr && !still->in.empty())
    check_input_limits(*still);
}

// In the same process: what the engine left over is offered again.
void EdgeShard::reoffer(base::ConnId conn) {
  Connection* c = find(conn);
  if (c == nullptr || c->state == Connection::State::closing || engine_of(*c).survives_engine())
    return;
  const std::size_t used = engine_of(*c).input(conn, c->in_ack, c->in_ack, base::as_bytes(c->in));
  c = find(conn);
  if (c == nullptr || used == 0) return;
  c->in_ack += used;
  input_bytes_ -= used;
  if (used == c->in.size()) {
    c->in = {};
  } else {
    c->in.erase(0, used);
  }
  if (!c->reading) check_input_limits(*c);
}

void EdgeShard::check_input_limits(Connection& c) {
  if (c.state != Connection::State::open) return;
  if (!c.connected && c.in.size() > kInputBeforeConnect)
    return end(c, CloseReason::frame_too_large);
  input_full_ = input_bytes_ >= options_.input_cap_total;
  const bool stop = c.in.size() >= options_.input_cap || (input_full_ && !c.in.empty());
  const bool go = c.in.size() < options_.input_cap / 2 && !input_full_;
  if (c.reading ? stop : go) {
    c.reading = !c.reading;
    if (c.reading)
      alive_[c.id().slot].last_seen_s = now_s_;  // keep alive slept while we did not read
    set_interest(c);
  }
}

void EdgeShard::set_interest(Connection& c) {
  if (c.fd < 0) return;
  const bool read = c.reading && c.state == Connection::State::open;
  poller_.modify(c.fd, c.id().packed(), (read ? EPOLLIN : 0u) | (c.want_write ? EPOLLOUT : 0u));
}

void EdgeShard::arm_tick() {
  tick_.expires_after(std::chrono::seconds(1));
  tick_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    on_tick();
    arm_tick();
  });
}

void EdgeShard::on_tick() {
  const std::uint32_t before = std::exchange(last_tick_s_, seconds());
  now_s_ = last_tick_s_;
  if (listener_ >= 0 && !accepting_) {
    accepting_ = true;
    poller_.modify(listener_, kListenerTag, EPOLLIN);
  }
  if (now_s_ - before < kStall_s) sweep(now_s_);  // else: read first, then judge
  flush();
  engines_turn_end();
}

void EdgeShard::sweep(std::uint32_t now_s) {
  const auto gone_too_long = [&](const Served& s) {
    return !s.engine->serving() && s.gone_s != 0 && now_s - s.gone_s > options_.engine_absent_max_s;
  };
  const bool look_at_all = std::any_of(served_.begin(), served_.end(), gone_too_long);
  for (std::size_t slot = 0; slot < alive_.size(); ++slot) {
    Alive& a = alive_[slot];
    const bool silent = a.limit_s != 0 && now_s - a.last_seen_s > a.limit_s;
    if (!silent && !look_at_all) continue;
    Connection& c = at(slot);
    const Served* served = c.partition < served_.size() ? &served_[c.partition] : nullptr;
    const bool absent = served != nullptr && !served->engine->serving();
    const bool absent_too_long = absent && gone_too_long(*served);
    if (!silent && !absent_too_long) continue;
    if (c.state == Connection::State::closing) {
      end(c, c.reason);
    } else if (c.state == Connection::State::open && absent_too_long) {
      end(c, CloseReason::engine_absent);
    } else if (c.state == Connection::State::open && (!c.reading || (absent && !c.connected))) {
      a.last_seen_s = now_s;  // not the device's fault
    } else if (c.state == Connection::State::open) {
      if (c.connected && c.version == 5)
        c.out.append("\xe0\x01\x8d", 3);  // DISCONNECT keep alive timeout
      write_out(c);
      if (c.fd >= 0)
        end(c, c.connected ? CloseReason::keepalive_timeout : CloseReason::handshake_timeout);
    }
  }
}

bool EdgeShard::all_serving() const {
  return std::all_of(served_.begin(), served_.end(),
                     [](const Served& s) { return s.engine != nullptr && s.engine->serving(); });
}

void EdgeShard::refresh_gauges() {
  probe_.connections = connected_;
  probe_.unauthenticated = open_ - connected_;
  probe_.input_bytes = input_bytes_;
  probe_.engine_up = all_serving() ? 1 : 0;
  std::uint64_t unsent = 0;
  for_each([&unsent](const Connection& c) { unsent += c.unsent(); });
  probe_.output_bytes = unsent;
}

int open_listener(const std::string& host, std::uint16_t& port, bool shared) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  if (const int e =
          getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found)) {
    throw std::runtime_error("listen on " + host + ": " + gai_strerror(e));
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  const bool bound =
      fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd, 4096) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!bound) {
    if (fd >= 0) ::close(fd);
    throw std::runtime_error("listen on " + host + ":" + service + ": " + std::strerror(error));
  }
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
  port = ntohs(local.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(local).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(local).sin_port);
  return fd;
}

}  // namespace berth::gateway::edge
