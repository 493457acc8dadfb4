// Reading, and time.
#include "gateway/edge/edge_shard.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "base/clock.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {

constexpr std::size_t kScratch = 128 * 1024;  // one read, at most
constexpr std::size_t kInputBeforeConnect = 64 * 1024;
constexpr std::size_t kDeafAt = 4;     // times the output cap
constexpr std::uint32_t kStall_s = 3;  // a tick this late: we were not running

std::uint32_t seconds() {
  return static_cast<std::uint32_t>(base::monotonic_ns() / 1'000'000'000);
}

}  // namespace

EdgeShard::EdgeShard(boost::asio::io_context& io, EdgeOptions options, metrics::EdgeProbe& probe,
                     AddressLimits* limits)
    : options_(std::move(options)),
      probe_(probe),
      io_(io),
      poller_(io, *this),
      tick_(io),
      accept_later_(io),
      drain_timer_(io),
      probation_timer_(io),
      served_(options_.partitions),
      scratch_(kScratch),
      admission_(options_.accept_per_s),
      limits_(limits != nullptr && limits->enabled() ? limits : nullptr) {
  now_s_ = last_tick_s_ = seconds();
  probe_.connections_limit = options_.max_connections;
}

EdgeShard::~EdgeShard() {
  stop();
}

void EdgeShard::start() {
  poller_.start();
  arm_tick();
}

void EdgeShard::stop() {
  stop_accepting();
  tick_.cancel();
  drain_timer_.cancel();
  probation_timer_.cancel();
  for_each([this](Connection& c) {
    if (c.fd >= 0) close_socket(c);
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
  if (tag > kListenerTag) return accept_some(UINT64_MAX - tag);
  Connection* c = find(base::ConnId::from_packed(tag));
  if (c == nullptr || c->fd < 0) return;
  if ((events & EPOLLOUT) != 0) write_out(*c);
  const bool answer_due = (events & EPOLLOUT) != 0 && handshaking(*c);
  if (c->fd >= 0 && (answer_due || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0))
    on_readable(*c);
}

void EdgeShard::on_turn_end() {
  engines_turn_end();
  flush();
}

// One read a turn: a short one has emptied the socket, a full one is followed by another turn.
void EdgeShard::on_readable(Connection& c) {
  if (!c.reading || c.state != Connection::State::open) {
    char probe;  // closing or paused: only learn whether the peer is gone
    const ssize_t n = recv(c.fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) end(c, c.reason);
    return;
  }
  const ssize_t n = receive(c, scratch_.data(), scratch_.size());
  if (n > 0) {
    probe_.bytes_received += static_cast<std::uint64_t>(n);
    on_bytes(c, {scratch_.data(), static_cast<std::size_t>(n)});
  } else if (n == 0) {
    end(c, CloseReason::client);
  } else if (errno != EAGAIN && errno != EINTR) {
    end(c, errno == EPROTO ? CloseReason::tls_failed : CloseReason::peer_reset);
  }
}

void EdgeShard::on_bytes(Connection& c, base::ByteView bytes) {
  const base::ConnId conn = c.id();
  if (c.connected) alive_[conn.slot].last_seen_s = now_s_;
  if (!c.connected && c.partition == Connection::kUnplaced && !may_speak(c, bytes)) return;
  if (!follow(c, bytes)) return end(c, CloseReason::protocol_error);
  if (!c.connected && c.at_boundary()) set_waiting(c, true);  // not for half a CONNECT
  const std::uint64_t offset = c.in_off;
  c.in_off += bytes.size();
  if (c.partition == Connection::kUnplaced && !place(c, bytes)) {
    if (c.state == Connection::State::open) keep(c, bytes);
    return check_input_limits(c);
  }
  link::EnginePort& engine = engine_of(c);
  if (!c.attached && engine.serving()) {
    attach(c);
    if (!c.in.empty() && engine.survives_engine())
      engine.input(conn, c.in_ack, c.in_ack, base::as_bytes(c.in));
  }
  if (engine.survives_engine()) {
    keep(c, bytes);
    if (c.attached && !c.held) engine.input(conn, offset, c.in_ack, bytes);
  } else if (c.in.empty()) {
    const std::size_t used = engine.input(conn, offset, offset, bytes);
    if (find(conn) == nullptr) return;
    c.in_ack += used;
    if (used < bytes.size()) keep(c, bytes.subspan(used));
  } else {
    keep(c, bytes);
    reoffer(conn);
  }
  Connection* still = find(conn);
  if (still != nullptr && (!still->in.empty() || is_deaf(*still))) check_input_limits(*still);
}

// Answers heartbeats. False: this is not what is spoken here.
bool EdgeShard::follow(Connection& c, base::ByteView bytes) {
  if (c.speaks_park()) return follow_park(c, bytes);
  if (c.in_off == 0 && bytes.front() == protocol::park::kMagic0) return false;
  const auto pong = [&] {
    if (!c.connected) return;
    static constexpr std::string_view kPingresp("\xd0\x00", 2);
    ++probe_.pings;
    c.out.append(kPingresp);
    mark_dirty(c);
  };
  return c.walker.walk(bytes, pong);
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

// It does not read what it is answered. Messages to it alone never come so far: above the cap they
// are dropped or wait, and must not keep us from hearing a device that is merely slow.
bool EdgeShard::is_deaf(const Connection& c) const {
  return c.unsent() >= kDeafAt * options_.output_cap;
}

void EdgeShard::check_input_limits(Connection& c) {
  if (c.state != Connection::State::open) return;
  if (!c.connected && c.in.size() > kInputBeforeConnect)
    return end(c, CloseReason::frame_too_large);
  // What some keep waiting (large packets in parts, a tenant's quota) must not stop all others: who
  // has nothing unprocessed is read, whatever there is in all.
  const bool full = input_bytes_ >= options_.input_cap_total;
  const bool deaf = is_deaf(c);
  const bool stop = c.in.size() >= options_.input_cap || (full && !c.in.empty()) || deaf;
  const bool go = c.in.size() < options_.input_cap / 2 && (!full || c.in.empty()) &&
                  c.unsent() < kDeafAt / 2 * options_.output_cap;
  if (c.reading && stop && full && !deaf) held_back_ = true;
  if (c.reading ? stop : go) {
    c.reading = !c.reading;
    if (c.reading)
      alive_[c.id().slot].last_seen_s = now_s_;  // keep alive slept while we did not read
    set_interest(c);
    if (c.reading && (c.tls != nullptr || c.layers != nullptr)) read_later(c);
  }
}

// Those that were stopped because of what there was in all.
void EdgeShard::go_on_reading() {
  for_each([this](Connection& c) {
    if (c.reading) return;
    check_input_limits(c);
    held_back_ = held_back_ || !c.reading;
  });
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
  if (!accepting_) resume_accepting();
  if (std::exchange(held_back_, false)) go_on_reading();
  if (now_s_ - before < kStall_s) sweep(now_s_);  // else: read first, then judge
  flush();
  engines_turn_end();
}

void EdgeShard::sweep(std::uint32_t now_s) {
  const std::int64_t now_ns = base::monotonic_ns();
  const auto gone_too_long = [&](const Served& s) {
    return !s.engine->serving() &&
           s.absence.ns(now_ns) > std::int64_t{options_.engine_absent_max_s} * 1'000'000'000;
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
      c.out.append(farewell_to(c, Reason::keep_alive_timeout));
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
  probe_.open_mqtt = open_by_[index_of(Transport::mqtt)];
  probe_.open_mqtts = open_by_[index_of(Transport::mqtts)];
  probe_.open_ws = open_by_[index_of(Transport::ws)];
  probe_.open_wss = open_by_[index_of(Transport::wss)];
  probe_.open_park = open_by_[index_of(Transport::park)];
  probe_.open_parks = open_by_[index_of(Transport::parks)];
  probe_.input_bytes = input_bytes_;
  probe_.engine_up = all_serving() ? 1 : 0;
  probe_.admission_rate = admission_.rate_per_s();
  std::uint64_t unsent = 0;
  for_each([&unsent](const Connection& c) { unsent += c.unsent(); });
  probe_.output_bytes = unsent;
}

}  // namespace berth::gateway::edge
