// Reading, and time.
#include "gateway/edge/edge_shard.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "base/assert.h"
#include "base/clock.h"
#include "base/give_back.h"
#include "base/log_event.h"
#include "gateway/edge/ends.h"
#include "gateway/edge/passages.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::link::CookieSlot;
using protocol::link::Setting;
using protocol::mqtt::Reason;

namespace {

constexpr std::size_t kScratch = 128 * 1024;  // one read, at most
constexpr std::uint32_t kStall_s = 3;         // a tick this late: we were not running

std::uint32_t seconds() {
  return static_cast<std::uint32_t>(base::monotonic_ns() / 1'000'000'000);
}

}  // namespace

EdgeShard::EdgeShard(boost::asio::io_context& io, EdgeOptions options, metrics::EdgeProbe& probe,
                     AddressLimits* limits)
    : EdgeContextHolder{{io, std::move(options), probe, *this, *this, limits}},
      EdgeRoom(cx_),
      tick_(io),
      scratch_(kScratch) {
  now_s_ = last_tick_s_ = seconds();
  probe_.connections_limit = options_.max_connections;
}

EdgeShard::~EdgeShard() {
  stop();
}

void EdgeShard::start() {
  poller_.start();
  sockets_.start();
  arm_tick();
}

void EdgeShard::stop() {
  stop_accepting();
  tick_.cancel();
  drain_.cancel();
  attachments_.cancel();
  output_.cancel();
  slab_.for_each([this](Connection& c) {
    if (c.fd >= 0) sockets_.close_socket(c, c.timed && output_.holds_up(c));
    c.state = Connection::State::free;
  });
  sockets_.stop();
  poller_.stop();
}

void EdgeShard::on_event(std::uint64_t tag, std::uint32_t events) {
  if (tag > Acceptor::kListenerTag) return acceptor_.accept_some(UINT64_MAX - tag);
  Connection* c = slab_.find(base::ConnId::from_packed(tag));
  if (c == nullptr || c->fd < 0) return;
  if ((events & EPOLLOUT) != 0) output_.write_out(*c);
  const bool answer_due = (events & EPOLLOUT) != 0 && sockets_.handshaking(*c);
  if (c->fd >= 0 && (answer_due || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0))
    on_readable(*c);
}

void EdgeShard::on_turn_end() {
  engines_.turn_end();
  flush();
}

// One read a turn: a short one has emptied the socket, a full one is followed by another turn.
void EdgeShard::on_readable(Connection& c) {
  if (!c.reading || c.state != Connection::State::open) {
    char probe;  // closing or paused: only learn whether the peer is gone
    const ssize_t n = recv(c.fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0) return end(c, end_of_peer(c, c.reason));
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      end(c,
          c.state == Connection::State::open ? end_of_peer(c, CloseReason::peer_reset) : c.reason);
    return;
  }
  const ssize_t n = sockets_.receive(c, scratch_.data(), input_.room_to_read(c, scratch_.size()));
  if (n > 0) {
    probe_.bytes_received += static_cast<std::uint64_t>(n);
    on_bytes(c, {scratch_.data(), static_cast<std::size_t>(n)});
  } else if (n == 0) {
    end(c, end_of_peer(c, CloseReason::client));
  } else if (errno != EAGAIN && errno != EINTR) {
    end(c, errno == EPROTO ? CloseReason::tls_failed : end_of_peer(c, CloseReason::peer_reset));
  }
}

void EdgeShard::on_bytes(Connection& c, base::ByteView bytes) {
  const base::ConnId conn = c.id();
  if (c.connected) slab_.alive(conn.slot).last_seen_s = now_s_;
  if (!c.connected && c.partition == Connection::kUnplaced && !poison_.may_speak(c, bytes)) return;
  if (!followers_.follow(c, bytes)) return followers_.reject(c, bytes);
  if (!c.connected && c.at_boundary()) {  // not for half a CONNECT
    counts_.set_waiting(c, true);
    before_login_.spoke(c.slot);
  }
  const std::uint64_t offset = c.in_off;
  c.in_off += bytes.size();
  if (c.partition == Connection::kUnplaced && !followers_.place(c, bytes)) {
    if (c.state == Connection::State::open) input_.keep(c, bytes);
    return input_.check_input_limits(c);
  }
  link::EnginePort& engine = engines_.of(c);
  if (!c.attached && engine.serving()) {
    attachments_.attach(c);
    if (!c.in.empty() && engine.survives_engine())
      engine.input(conn, c.in_ack, c.in_ack, base::as_bytes(c.in));
  }
  if (engine.survives_engine()) {
    input_.keep(c, bytes);
    if (c.attached && !c.held) engine.input(conn, offset, c.in_ack, bytes);
  } else if (c.in.empty()) {
    const std::size_t used = engine.input(conn, offset, offset, bytes);
    if (slab_.find(conn) == nullptr) return;
    c.in_ack += used;
    if (used < bytes.size()) input_.keep(c, bytes.subspan(used));
  } else {
    input_.keep(c, bytes);
    input_.reoffer(conn);
  }
  Connection* still = slab_.find(conn);
  if (still == nullptr) return;
  if (!still->in.empty() || still->place != Place::none || input_.is_stalled_reader(*still))
    input_.check_input_limits(*still);
}

void EdgeShard::read_later(Connection& c) {
  boost::asio::post(io_, [this, alive = std::weak_ptr<bool>(alive_token_), conn = c.id()] {
    if (alive.expired()) return;
    Connection* still = slab_.find(conn);
    if (still == nullptr || still->fd < 0 || !still->reading) return;
    on_readable(*still);
    on_turn_end();
  });
}

bool EdgeShard::accepts(base::ConnId conn, std::uint32_t attach_epoch, std::uint64_t out_off) {
  const Connection* c = slab_.find(conn);
  const bool current =
      c != nullptr && c->attached && c->attach_epoch == attach_epoch && c->out_off == out_off;
  ++(current ? probe_.steps : probe_.steps_stale);
  return current;
}

void EdgeShard::cookie(base::ConnId conn, CookieSlot slot, std::string bytes) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || slot >= CookieSlot::count) return;
  if (slot >= CookieSlot::count) return;  // of a newer engine
  if (!c->cookie) c->cookie = std::make_unique<protocol::link::Cookie>();
  (*c->cookie)[static_cast<std::size_t>(slot)] = std::move(bytes);
}

void EdgeShard::connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || c->state != Connection::State::open) return;
  c->version = settings.version;
  c->principal = settings.principal;
  c->tenant = settings.tenant;
  c->anonymous = settings.anonymous;
  if (!c->connected && settings.connected) input_.log_in(*c);
  c->connected = settings.connected;
  counts_.set_waiting(*c, false);
  acceptor_.admission().answered();
  const std::uint32_t halves = c->follower.keep_alive_halves();
  const std::uint32_t limit =
      settings.keep_alive_s == 0 ? 0 : settings.keep_alive_s * halves / 2u + 1u;
  slab_.alive(conn.slot) = {now_s_, limit};
  if (!c->reading) input_.check_input_limits(*c);
}

void EdgeShard::arm_tick() {
  tick_.expires_after(std::chrono::seconds(1));
  tick_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    const auto late = std::chrono::steady_clock::now() - tick_.expiry();
    probe_.edge_lag.observe_ns(std::chrono::nanoseconds(late).count());
    on_tick();
    arm_tick();
  });
}

void EdgeShard::on_tick() {
  const std::uint32_t before = std::exchange(last_tick_s_, seconds());
  now_s_ = last_tick_s_;
  base::log_tick(base::monotonic_ns() / 1'000'000);
  sockets_.tick();
  acceptor_.tick();
  if (now_s_ - before < kStall_s) {  // else: read first, then judge
    input_.watch_packets();
    sweep(now_s_);
    certificates_.tick();
  }
  input_.serve_line();
  input_.go_on_reading();
  output_.look_at_deadlines();
  flush();
  engines_.turn_end();
}

void EdgeShard::sweep(std::uint32_t now_s) {
  const std::int64_t now_ns = base::monotonic_ns();
  const auto gone_too_long = [&](const Served& s) {
    return !s.engine->serving() &&
           s.absence.ns(now_ns) > std::int64_t{options_.engine_absent_max_s} * 1'000'000'000;
  };
  const bool look_at_all = std::any_of(engines_.begin(), engines_.end(), gone_too_long);
  for (std::size_t slot = 0; slot < slab_.size(); ++slot) {
    ConnectionSlab::Alive& a = slab_.alive(slot);
    const bool silent = a.limit_s != 0 && now_s - a.last_seen_s > a.limit_s;
    if (!silent && !look_at_all) continue;
    Connection& c = slab_[slot];
    const Served* served = c.partition < engines_.size() ? &engines_[c.partition] : nullptr;
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
      endings_.dismiss(
          c, followers_.farewell_to(c, Reason::keep_alive_timeout),
          c.connected ? CloseReason::keepalive_timeout : CloseReason::handshake_timeout);
    }
  }
}

void EdgeShard::refresh_gauges() {
  probe_.connections = counts_.connected;
  probe_.unauthenticated = counts_.open - counts_.connected;
  probe_.open_mqtt = counts_.by_transport[index_of(Transport::mqtt)];
  probe_.open_mqtts = counts_.by_transport[index_of(Transport::mqtts)];
  probe_.open_ws = counts_.by_transport[index_of(Transport::ws)];
  probe_.open_wss = counts_.by_transport[index_of(Transport::wss)];
  probe_.open_park = counts_.by_transport[index_of(Transport::park)];
  probe_.open_parks = counts_.by_transport[index_of(Transport::parks)];
  probe_.input_bytes = input_.bytes() + before_login_.bytes();
  probe_.engine_up = engines_.all_serving() ? 1 : 0;
  probe_.admission_rate = acceptor_.admission().rate_per_s();
  probe_.quarantined_now =
      quarantine_ != nullptr && quarantine_->any() ? quarantine_->size(now_s_) : 0;
  std::uint64_t unsent = 0;
  slab_.for_each([&unsent](const Connection& c) { unsent += c.unsent(); });
  probe_.output_bytes = unsent;
}

// -- the planned end of an edge, and what engines tell it to do

void EdgeShard::apply_setting(Setting setting, std::uint64_t value) {
  if (setting == Setting::connect_timeout_s) {
    options_.connect_timeout_s = static_cast<std::uint32_t>(value);
  } else if (setting == Setting::quarantine_s) {
    options_.quarantine_s = static_cast<std::uint32_t>(value);
    if (quarantine_ != nullptr) quarantine_->use_seconds(options_.quarantine_s);
  } else if (setting == Setting::others_admit_per_s) {
    drain_.use_others(value);
  }
}

void EdgeShard::drain(std::uint32_t per_second, Elsewhere elsewhere) {
  stop_accepting();
  if (options_.passages != nullptr)
    options_.passages->tell({.ended_ns = base::monotonic_ns(),
                             .what = Passages::What::edge_drain,
                             .how = EngineEnd::planned,
                             .dropped = counts_.open});
  drain_.begin(Drain::Which::all, per_second, std::move(elsewhere));
}

void EdgeShard::drain_tls(std::uint32_t per_second) {
  acceptor_.pause_tls();
  drain_.begin(Drain::Which::tls, per_second, {});  // they may come back at once
}

void EdgeShard::end_tls() {
  drain_.cancel();
  slab_.for_each([this](Connection& c) {
    if (c.tls != nullptr) end(c, CloseReason::drained);
  });
}

void EdgeShard::keep_tls() {
  drain_.cancel();
  acceptor_.keep_tls();
}

}  // namespace berth::gateway::edge
