#include "gateway/edge/output.h"

#include <algorithm>
#include <cerrno>

#include "gateway/edge/ends.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;

namespace {
constexpr std::size_t kFlushAt = 128 * 1024;  // do not gather more than this in one turn
}  // namespace

void Output::send(base::ConnId conn, std::string_view head, std::string_view tail) {
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

bool Output::writable(base::ConnId conn) {
  Connection* c = slab_.find(conn);
  if (c == nullptr) return false;
  if (c->unsent() < options_.output_cap) return true;
  c->engine_waits = true;
  return false;
}

void Output::flush() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {  // ends may make others dirty
    const std::uint32_t slot = dirty_[i];
    Connection& c = slab_[slot];
    c.dirty = false;
    if (c.fd >= 0 && !c.want_write) write_out(c);
    if (c.timed) tell_fates(c);
  }
  dirty_.clear();
}

bool Output::write_some(Connection& c) {
  return c.timed ? write_timed(c) : write_part(c, c.unsent());
}

// The first `size` bytes of what is unsent.
bool Output::write_part(Connection& c, std::size_t size) {
  if (size == 0) return c.layers == nullptr || sockets_.flush_wire(c) || errno == EAGAIN;
  const ssize_t n = sockets_.transmit(c, c.out.data() + c.out_at, size);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  c.out_at += static_cast<std::size_t>(n);
  c.sent += static_cast<std::uint64_t>(n);
  probe_.bytes_sent += static_cast<std::uint64_t>(n);
  return true;
}

void Output::write_out(Connection& c) {
  if (c.fd < 0) return;
  if (!write_some(c))
    return end(c, c.state == Connection::State::closing ? c.reason
                                                        : end_of_peer(c, CloseReason::peer_reset));
  after_write(c);
}

void Output::after_write(Connection& c) {
  if (c.timed) tell_fates(c);
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

}  // namespace berth::gateway::edge
