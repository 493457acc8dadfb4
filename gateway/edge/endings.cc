#include "gateway/edge/endings.h"

#include <utility>

#include "base/assert.h"
#include "base/give_back.h"
#include "gateway/edge/edge_events.h"
#include "gateway/edge/ends.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {
constexpr std::uint32_t kClosingMax_s = 5;
}  // namespace

// The socket is gone from here on; the record stays until the engine has taken note.
void Endings::end(Connection& c, CloseReason reason) {
  if (c.fd < 0) return;
  const base::ConnId conn = c.id();
  if (c.timed) output_.drop_late(c);
  c.reason = reason;
  // However the connection ends: the kernel would go on to send a command, for as long as
  // mqtt.tcp_user_timeout_ms.
  sockets_.close_socket(c, reason == CloseReason::cut_off || (c.timed && output_.holds_up(c)));
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
  if (c.timed) output_.tell_fates(c);
  if (c.attached && !c.held) engines_.of(c).closed(conn, reason);
}

void Endings::finish(Connection& c) {
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

void Endings::begin_close(Connection& c, CloseReason reason) {
  if (c.state != Connection::State::open) return;
  c.reason = reason;
  c.state = Connection::State::closing;
  slab_.alive(c.slot) = {now_s_, kClosingMax_s};
  mark_dirty(c);  // written and closed at the end of the turn
}

void Endings::dismiss(Connection& c, std::string_view words, CloseReason reason) {
  c.out.append(words);
  output_.write_out(c);
  if (c.fd >= 0) end(c, reason);
}

void Endings::dismiss(Connection& c, Reason why, CloseReason reason) {
  dismiss(c, followers_.farewell_to(c, why), reason);
}

void Endings::close(base::ConnId conn, CloseReason reason) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || c->state != Connection::State::open) return;
  c->said = true;
  begin_close(*c, reason);
}

void Endings::release(base::ConnId conn) {
  Connection* c = slab_.find(conn);
  if (c == nullptr) return;
  BERTH_ASSERT(c->state == Connection::State::ended);
  if (c->partition < engines_.size()) engines_[c->partition].probation.cleared(conn);
  finish(*c);
}

// Of a Drain.
void Endings::send_away(Connection& c) {
  c.out.append(followers_.farewell_to(c, Reason::server_shutting_down));
  begin_close(c, CloseReason::drained);
}

}  // namespace berth::gateway::edge
