// Packets with a deadline (docs/design.md, "Deadlines"): the checks at the receipt of a step and in
// front of the write, and the notices of what was too late.
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "gateway/edge/acknowledged.h"
#include "gateway/edge/output.h"

namespace berth::gateway::edge {

using protocol::link::Fate;

namespace {
constexpr std::size_t kTlsRecord = 16 * 1024;  // bytes that TLS encrypts at a time, at most
constexpr std::int64_t kUnheard_ms = 1000;     // unacknowledged bytes of a fresh connection
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
  if (c == nullptr || (c->state != Connection::State::open && !d.watch))
    return send(conn, head, tail);
  if (!c->timed) c->timed = std::make_unique<TimedOutput>();
  const bool gone = c->state != Connection::State::open;
  if (gone || (d.fresh && c->want_write)) {  // the socket takes nothing now
    c->timed->refuse(d.tag, gone ? Fate::dropped : Fate::stale);
    c->out_off += head.size() + tail.size();
    return mark_dirty(*c);  // its fate is told at the end of the turn
  }
  const base::Instant now = deadline_now();
  const std::int64_t left_ms =
      std::clamp(d.not_after.ms - std::max<std::int64_t>(engines_.of(*c).deadline_clock().ms, 0),
                 -kFar_ms, kFar_ms);
  const std::size_t size = head.size() + tail.size();
  protocol::link::Deadline here = d;
  here.not_after = now.plus_ms(left_ms);
  here.fresh = d.fresh && d.watch;
  if (c->timed->are_many_written() && c->fd >= 0)
    c->timed->acknowledged(sockets_.handed(*c) - unacknowledged(c->fd));
  const auto taken = c->timed->take(c->unsent(), size, here, now);
  if (taken == TimedOutput::Taken::yes) {
    deadlines_.add(conn, here.not_after, now);
    return send(conn, head, tail);
  }
  ++(taken == TimedOutput::Taken::late ? probe_.late_arrived : probe_.late_no_room);
  c->out_off += size;  // accepted, and dropped
  mark_dirty(*c);
}

bool Output::write_timed(Connection& c) {
  const bool whole = write_packets(c);
  kernel_has_all(c);
  if (c.timed->any_fresh()) c.timed->drop_stale(c.out, c.out_at);  // they would wait
  return whole;
}

// Writes a part at a time where what has been handed on is out of reach though the socket has not
// taken it: so a packet is encrypted or framed when everything before it has been taken. The same
// where a packet is for a fresh connection only.
bool Output::write_packets(Connection& c) {
  const bool layered = c.tls != nullptr || (c.layers != nullptr && c.layers->ws != nullptr);
  for (;;) {
    drop_late(c);
    const bool apart = !c.timed->empty() && (layered || c.timed->any_fresh());
    if (apart && c.timed->next_is_packet()) {
      if (c.layers != nullptr && !sockets_.flush_wire(c)) return errno == EAGAIN;
      kernel_has_all(c);
      if (layered && !takes_more(c.fd)) return true;
      if (c.timed->any_fresh() && !is_fresh(c)) {
        c.timed->drop_stale(c.out, c.out_at);
        continue;
      }
    }
    const std::size_t size = apart ? c.timed->next() : c.unsent();
    const std::uint64_t before = c.sent;
    if (!write_part(c, size)) return false;
    const std::size_t n = c.sent - before;
    c.timed->written(n);
    kernel_has_all(c);
    if (n < size && c.tls != nullptr && SSL_is_init_finished(c.tls) != 0)
      c.timed->begun(std::min(size - n, kTlsRecord));  // OpenSSL holds a record of them
    if (n < size || !apart) return true;
  }
}

// Unless a WebSocket's frame waits for the socket.
void Output::kernel_has_all(Connection& c) {
  if (!c.timed->is_under_way()) return;
  if (c.layers == nullptr || c.layers->unsent() == 0) c.timed->kernel_has_all(sockets_.handed(c));
}

// Of a device that can be relied on to get the packet now: it has said something of late, as its
// Keep Alive wants it to, and what it got before has not waited for its acknowledgement.
bool Output::is_fresh(const Connection& c) const {
  const ConnectionSlab::Alive& a = slab_.alive(c.slot);
  const std::uint32_t halves = c.follower.keep_alive_halves();
  const std::uint32_t limit_s =
      a.limit_s == 0 ? options_.fresh_s : (a.limit_s - 1) * 3 / std::max(halves, 1U) + 1;
  if (limit_s != 0 && now_s_ - a.last_seen_s > limit_s) return false;
  return !is_unheard(c.fd, kUnheard_ms);
}

bool Output::holds_up(Connection& c) {
  c.timed->acknowledged(sockets_.handed(c) - unacknowledged(c.fd));
  return c.timed->holds_up();
}

void Output::drop_late(Connection& c) {
  probe_.late_unwritten += c.timed->drop_late(c.out, c.out_at, deadline_now());
}

void Output::watch(Connection& c) {
  const auto at = c.timed->look_at();
  if (at) deadlines_.add(c.id(), *at, deadline_now());
}

void Output::look_at_deadlines() {
  const base::Instant now = deadline_now();
  while (const auto conn = deadlines_.take_due(now)) {
    Connection* c = slab_.find(*conn);
    if (c != nullptr && c->timed) look_at(*c, now);
  }
  deadlines_.wait(now);
}

void Output::look_at(Connection& c, base::Instant now) {
  if (c.fd >= 0) {
    drop_late(c);
    if (c.timed->may_cut_off(now) &&
        c.timed->cut_off(now, sockets_.handed(c) - unacknowledged(c.fd)))
      return end(c, protocol::link::CloseReason::cut_off);
  }
  mark_dirty(c);  // fates are told at the end of the turn
}

void Output::on_deadline() {
  look_at_deadlines();
  engines_.turn_end();
  flush();
}

void Output::tell_fates(Connection& c) {
  const base::ConnId conn = c.id();
  count_fates(c);
  if (c.attached && !c.timed->all_told()) {
    link::EnginePort& engine = engines_.of(c);
    const auto fates = c.timed->tell_fates();
    const auto dropped = c.held ? std::vector<std::uint64_t>() : c.timed->tell();
    for (const auto& [tag, fate] : fates) engine.told(conn, tag, fate);
    for (const std::uint64_t tag : dropped) engine.told(conn, tag, Fate::dropped);
  }
  Connection* still = slab_.find(conn);
  if (still != nullptr && still->timed && !still->timed->is_needed()) still->timed.reset();
}

void Output::list_commands(Connection& c) {
  const base::ConnId conn = c.id();
  link::EnginePort& engine = engines_.of(c);
  const auto undecided = c.timed->undecided();
  const auto fates = c.timed->tell_fates();
  for (const std::uint64_t tag : undecided) engine.pending(conn, tag);
  for (const auto& [tag, fate] : fates) engine.told(conn, tag, fate);
}

void Output::count_fates(Connection& c) {
  const auto counts = c.timed->take_counts();
  const auto of = [&counts](Fate f) { return counts[static_cast<std::size_t>(f)]; };
  probe_.words_dropped += of(Fate::dropped);
  probe_.words_written += of(Fate::written);
  probe_.words_stale += of(Fate::stale);
  probe_.words_cut_off += of(Fate::cut_off);
}

void Output::told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) {
  Connection* c = slab_.find(conn);
  if (c != nullptr && c->timed) c->timed->taken(tag, fate);
}

}  // namespace berth::gateway::edge
