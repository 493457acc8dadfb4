// What engines say to connections, and the end of connections.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "base/clock.h"
#include "base/give_back.h"
#include "gateway/edge/edge_events.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/edge/ends.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::link::CookieSlot;
using protocol::mqtt::Reason;

namespace {
constexpr std::size_t kFlushAt = 128 * 1024;  // do not gather more than this in one turn
constexpr std::uint32_t kClosingMax_s = 5;
}  // namespace

bool EdgeShard::accepts(base::ConnId conn, std::uint32_t attach_epoch, std::uint64_t out_off) {
  const Connection* c = slab_.find(conn);
  const bool current =
      c != nullptr && c->attached && c->attach_epoch == attach_epoch && c->out_off == out_off;
  ++(current ? probe_.steps : probe_.steps_stale);
  return current;
}

void EdgeShard::send(base::ConnId conn, std::string_view head, std::string_view tail) {
  Connection* c = slab_.find(conn);
  if (c == nullptr) return;
  c->out_off += head.size() + tail.size();
  if (c->state != Connection::State::open) return;
  buffers_.borrow(c->out);
  c->out.append(head).append(tail);
  mark_dirty(*c);
  if (c->unsent() >= kFlushAt && !c->want_write)
    write_some(*c);  // the engine is not called back here
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
  admission_.answered();
  // 1.5 times (MQTT 3.1.2-22), or 2.5 times (docs/park-protocol.md).
  const std::uint32_t halves = settings.version == protocol::park::kLevel ? 5 : 3;
  const std::uint32_t limit =
      settings.keep_alive_s == 0 ? 0 : settings.keep_alive_s * halves / 2u + 1u;
  slab_.alive(conn.slot) = {now_s_, limit};
  if (!c->reading) input_.check_input_limits(*c);
}

void EdgeShard::close(base::ConnId conn, CloseReason reason) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || c->state != Connection::State::open) return;
  c->said = true;
  begin_close(*c, reason);
}

void EdgeShard::begin_close(Connection& c, CloseReason reason) {
  if (c.state != Connection::State::open) return;
  c.reason = reason;
  c.state = Connection::State::closing;
  slab_.alive(c.slot) = {now_s_, kClosingMax_s};
  mark_dirty(c);  // written and closed at the end of the turn
}

void EdgeShard::release(base::ConnId conn) {
  Connection* c = slab_.find(conn);
  if (c == nullptr) return;
  BERTH_ASSERT(c->state == Connection::State::ended);
  if (c->partition < engines_.size()) engines_[c->partition].probation.cleared(conn);
  finish(*c);
}

bool EdgeShard::writable(base::ConnId conn) {
  Connection* c = slab_.find(conn);
  if (c == nullptr) return false;
  if (c->unsent() < options_.output_cap) return true;
  c->engine_waits = true;
  return false;
}

void EdgeShard::flush() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {  // ends may make others dirty
    const std::uint32_t slot = dirty_[i];
    Connection& c = slab_[slot];
    c.dirty = false;
    if (c.fd >= 0 && !c.want_write) write_out(c);
    if (c.timed) tell_expired(c);
  }
  dirty_.clear();
}

bool EdgeShard::write_some(Connection& c) {
  return c.timed ? write_timed(c) : write_part(c, c.unsent());
}

// The first `size` bytes of what is unsent.
bool EdgeShard::write_part(Connection& c, std::size_t size) {
  if (size == 0) return c.layers == nullptr || sockets_.flush_wire(c) || errno == EAGAIN;
  const ssize_t n = sockets_.transmit(c, c.out.data() + c.out_at, size);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  c.out_at += static_cast<std::size_t>(n);
  c.sent += static_cast<std::uint64_t>(n);
  probe_.bytes_sent += static_cast<std::uint64_t>(n);
  return true;
}

void EdgeShard::write_out(Connection& c) {
  if (c.fd < 0) return;
  if (!write_some(c))
    return end(c, c.state == Connection::State::closing ? c.reason
                                                        : end_of_peer(c, CloseReason::peer_reset));
  after_write(c);
}

void EdgeShard::after_write(Connection& c) {
  if (c.timed) tell_expired(c);
  const bool empty = c.all_sent();
  if (empty) {
    c.out_at = 0;
    buffers_.recycle(c.out);
  } else if (c.out_at >= BufferPool::kBufferMax) {
    c.out.erase(0, c.out_at);
    c.out_at = 0;
  }
  if (c.want_write == empty) {
    c.want_write = !empty;
    set_interest(c);
  }
  if (c.state == Connection::State::closing) {
    if (empty) end(c, c.reason);
    return;
  }
  if (!c.reading) input_.check_input_limits(c);
  const std::uint64_t written = c.out_off - std::min<std::uint64_t>(c.out_off, c.unsent());
  if (c.partition == Connection::kUnplaced) return;
  link::EnginePort& engine = engines_.of(c);
  if (engine.survives_engine()) {
    if (written - c.credited >= options_.output_cap / 4 && c.attached) {
      c.credited = written;
      engine.credit(c.id(), written);
    }
  } else if (c.engine_waits && c.unsent() < options_.output_cap / 2) {
    c.engine_waits = false;
    engine.credit(c.id(), written);
  }
}

void EdgeShard::dismiss(Connection& c, Reason why, CloseReason reason) {
  c.out.append(followers_.farewell_to(c, why));
  write_out(c);
  if (c.fd >= 0) end(c, reason);
}

// The socket is gone from here on; the record stays until the engine has taken note.
void EdgeShard::end(Connection& c, CloseReason reason) {
  if (c.fd < 0) return;
  const base::ConnId conn = c.id();
  if (c.timed) drop_late(c);
  c.reason = reason;
  sockets_.close_socket(c);
  c.state = Connection::State::ended;
  slab_.alive(conn.slot).limit_s = 0;
  buffers_.recycle(c.out);
  c.out_at = 0;
  if (c.timed) c.timed->forget_packets();
  --counts_.open;
  --counts_.by_transport[index_of(c.transport)];
  if (std::exchange(c.counted, false)) limits_->leave(c.peer);
  if (c.connected) --counts_.connected;
  counts_.set_waiting(c, false);
  before_login_.ended(c.slot);
  input_.drop_place(c);
  count_end(probe_, reason, c.connected);
  events::ended(c);
  const bool unknown_to_engines = !c.attached && !c.connected && c.attach_epoch == 0;
  if (unknown_to_engines) return finish(c);
  if (c.timed) tell_expired(c);
  if (c.attached && !c.held) engines_.of(c).closed(conn, reason);
}

void EdgeShard::finish(Connection& c) {
  const std::uint32_t slot = c.slot;
  input_.log_out(c);
  const std::uint32_t generation = c.generation;
  const bool dirty = c.dirty;
  const bool watched = c.watched;
  base::give_back(c.in);
  base::give_back(c.out);
  c = Connection{};
  c.generation = generation;
  c.dirty = dirty;
  c.watched = watched;
  slab_.give_back(slot);
}

}  // namespace berth::gateway::edge
