// Packets with a deadline (docs/design.md, "Deadlines"): the checks at the receipt of a step and in
// front of the write, and the notices of what was too late.
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "gateway/edge/output.h"

namespace berth::gateway::edge {

namespace {
constexpr std::size_t kTlsRecord = 16 * 1024;  // bytes that TLS encrypts at a time, at most
constexpr std::int64_t kFar_ms = std::int64_t{1000} * 366 * 86'400'000;  // a deadline is nearer

// A byte, or there is an error. Where it takes none, a packet would wait in a record or a frame,
// out of reach.
bool takes_more(int fd) {
  pollfd p{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&p, 1, 0) > 0;
}
}  // namespace

base::Instant Output::deadline_now() {
  const base::Instant t = clock_.now();
  return clock_.clocks().messages_at(t);
}

void Output::send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                        const protocol::link::Deadline& d) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || c->state != Connection::State::open) return send(conn, head, tail);
  if (!c->timed) c->timed = std::make_unique<TimedOutput>();
  const base::Instant now = deadline_now();
  const std::int64_t left_ms =
      std::clamp(d.not_after.ms - std::max<std::int64_t>(engines_.of(*c).deadline_clock().ms, 0),
                 -kFar_ms, kFar_ms);
  const std::size_t size = head.size() + tail.size();
  const auto taken = c->timed->take(c->unsent(), size, now.plus_ms(left_ms), d.tag, now);
  if (taken == TimedOutput::Taken::yes) return send(conn, head, tail);
  ++(taken == TimedOutput::Taken::late ? probe_.late_arrived : probe_.late_no_room);
  c->out_off += size;  // accepted, and dropped
  mark_dirty(*c);
}

// Writes a part at a time where what has been handed on is out of reach though the socket has not
// taken it: so a packet is encrypted or framed when everything before it has been taken.
bool Output::write_timed(Connection& c) {
  const bool layered = c.tls != nullptr || (c.layers != nullptr && c.layers->ws != nullptr);
  for (;;) {
    drop_late(c);
    if (c.timed->empty()) return write_part(c, c.unsent());
    if (layered && c.timed->next_is_packet()) {
      if (c.layers != nullptr && !sockets_.flush_wire(c)) return errno == EAGAIN;
      if (!takes_more(c.fd)) return true;
    }
    const std::size_t size = layered ? c.timed->next() : c.unsent();
    const std::uint64_t before = c.sent;
    if (!write_part(c, size)) return false;
    const std::size_t n = c.sent - before;
    c.timed->written(n);
    if (n < size && c.tls != nullptr && SSL_is_init_finished(c.tls) != 0)
      c.timed->begun(std::min(size - n, kTlsRecord));  // OpenSSL holds a record of them
    if (n < size || !layered) return true;
  }
}

void Output::drop_late(Connection& c) {
  probe_.late_unwritten += c.timed->drop_late(c.out, c.out_at, deadline_now());
}

// Not within a call of the engine.
void Output::tell_expired(Connection& c) {
  const base::ConnId conn = c.id();
  if (c.attached && !c.held && !c.timed->all_told()) {
    link::EnginePort& engine = engines_.of(c);
    for (const std::uint64_t tag : c.timed->tell()) engine.expired(conn, tag);
  }
  Connection* still = slab_.find(conn);
  if (still != nullptr && still->timed && !still->timed->is_needed()) still->timed.reset();
}

void Output::expired_taken(base::ConnId conn, std::uint64_t tag) {
  Connection* c = slab_.find(conn);
  if (c != nullptr && c->timed) c->timed->taken(tag);
}

}  // namespace berth::gateway::edge
