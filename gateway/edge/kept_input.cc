#include "gateway/edge/kept_input.h"

#include <algorithm>
#include <utility>

#include "base/give_back.h"
#include "protocol/link/types.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {

constexpr std::size_t kInputBeforeConnack = 64 * 1024;
constexpr std::size_t kStalledAt = 4;          // times the output cap
constexpr std::size_t kWholeMax = 2u << 20;    // bytes of whole packets, kept of a connection
constexpr std::size_t kReadWhenFull = 4096;    // bytes
constexpr std::size_t kBytesPerSecond = 4096;  // a large packet may be as slow as this
constexpr std::uint32_t kStandsStill_s = 3;    // and others wait for its room

// Bytes kept that wait for an engine, not for the device.
std::size_t whole_packets(const Connection& c) {
  return c.in.size() - std::min(c.in.size(), c.unfinished());
}

}  // namespace

void KeptInput::keep(Connection& c, base::ByteView bytes) {
  c.in.append(base::as_text(bytes));
  count_input(c, bytes.size());
}

void KeptInput::count_input(Connection& c, std::size_t n) {
  if (c.holder != Connection::kNoHolder) {
    budget_.add(c.holder, n);
  } else if (before_login_.has(c.slot)) {
    before_login_.add(c.slot, n);
  }
}

void KeptInput::uncount_input(Connection& c, std::size_t n) {
  if (c.holder != Connection::kNoHolder) {
    budget_.take(c.holder, n);
  } else if (before_login_.has(c.slot)) {
    before_login_.take(c.slot, n);
  }
}

void KeptInput::log_in(Connection& c) {
  ++counts_.connected;
  before_login_.leave(c.slot);
  if (c.holder == Connection::kNoHolder) {
    c.holder = budget_.enter(c.tenant != 0 ? c.tenant : base::AddressHash{}(c.peer.site()));
    budget_.add(c.holder, c.in.size());
  }
  if (!c.early) return;
  c.out.append(*c.early);
  c.early.reset();
  mark_dirty(c);
}

void KeptInput::log_out(Connection& c) {
  uncount_input(c, c.in.size());
  before_login_.leave(c.slot);
  drop_place(c);
  if (c.holder != Connection::kNoHolder) budget_.leave(c.holder);
}

std::size_t KeptInput::room_to_read(const Connection& c, std::size_t most) const {
  const bool scarce =
      c.holder != Connection::kNoHolder && c.place != Place::held && budget_.full_for(c.holder);
  return scarce ? kReadWhenFull : most;
}

// The peer has stopped reading its answers: output has reached four times the cap. Messages to it
// alone never come so far: above the cap they are dropped or wait, and a device that is merely slow
// is still read.
bool KeptInput::is_stalled_reader(const Connection& c) const {
  return c.unsent() >= kStalledAt * options_.output_cap;
}

void KeptInput::check_input_limits(Connection& c) {
  if (c.state != Connection::State::open) return;
  const std::size_t unfinished = c.unfinished();
  if (unfinished != 0 && !c.watched) {
    c.watched = true;
    watched_.push_back(c.slot);
  }
  if (c.holder == Connection::kNoHolder) {
    if (c.partition == Connection::kUnplaced && c.in.size() > kInputBeforeConnack)
      return end(c, CloseReason::frame_too_large);
    if (!arrivals_.has_room_before_login(c)) return;
  } else {
    keep_place(c, unfinished);
  }
  if (c.reading ? should_stop(c) : may_go_on(c)) set_reading(c, !c.reading);
}

// Input of some connections that waits (large packets in parts, a tenant's quota) must not stop all
// others: a connection without unacknowledged input is read, however much there is in all.
bool KeptInput::should_stop(const Connection& c) const {
  if (is_stalled_reader(c) || c.in.size() >= options_.input_cap) return true;
  if (c.holder == Connection::kNoHolder) return c.in.size() > kInputBeforeConnack;
  if (c.place == Place::waiting || (c.place == Place::extra && budget_.full())) return true;
  if (whole_packets(c) >= std::min(kWholeMax, options_.input_cap)) return true;
  const bool little = c.in.size() < kReadWhenFull && c.unfinished() == c.in.size();
  return c.place == Place::none && !little && budget_.full_for(c.holder);
}

bool KeptInput::may_go_on(const Connection& c) const {
  return !should_stop(c) && whole_packets(c) < std::min(kWholeMax, options_.input_cap) / 2 &&
         c.unsent() < kStalledAt / 2 * options_.output_cap;
}

void KeptInput::set_reading(Connection& c, bool reading) {
  c.reading = reading;
  if (reading) {
    slab_.alive(c.slot).last_seen_s = now_s_;  // keep alive slept while we did not read
  } else {
    held_back_ = held_back_ || !is_stalled_reader(c);
  }
  set_interest(c);
  if (reading && (c.tls != nullptr || c.layers != nullptr)) calls_.read_later(c);
}

// Those that were stopped because of what there was in all, or of their holder.
void KeptInput::go_on_reading() {
  if (!std::exchange(held_back_, false)) return;
  slab_.for_each([this](Connection& c) {
    if (c.reading) return;
    check_input_limits(c);
    held_back_ = held_back_ || !c.reading;
  });
}

// -- places of large packets

// Where room is short a small packet needs one too, or it would wait for ever; what waits for the
// engine needs none meanwhile.
void KeptInput::keep_place(Connection& c, std::size_t unfinished) {
  if (unfinished < kReadWhenFull && c.place == Place::none) return;
  const bool large = unfinished > InputBudget::kFree ||
                     (unfinished >= kReadWhenFull && budget_.full_for(c.holder));
  const bool waits = whole_packets(c) >= std::min(kWholeMax, options_.input_cap);
  const std::size_t wanted = large && !waits ? c.packet_size() : 0;
  if (wanted == c.place_size) return;
  drop_place(c);
  if (wanted == 0) return;
  c.place_size = wanted;
  c.place = budget_.ask(c.holder, wanted, c.id());
  if (c.place == Place::held) c.in.reserve(std::min(whole_packets(c) + wanted, options_.input_cap));
}

void KeptInput::drop_place(Connection& c) {
  if (c.place == Place::none) return;
  budget_.give_back(c.holder, c.place_size, std::exchange(c.place, Place::none));
  c.place_size = 0;
  serve_line();
}

void KeptInput::serve_line() {
  const auto waits = [this](base::ConnId conn) {
    const Connection* c = slab_.find(conn);
    return c != nullptr && c->place == Place::waiting;
  };
  while (const auto granted = budget_.next(waits)) {
    Connection& c = *slab_.find(granted->conn);
    c.place = granted->kind;
    check_input_limits(c);
  }
}

// -- packets that do not come whole

void KeptInput::watch_packets() {
  if (budget_.full()) relieve();
  std::vector<std::uint32_t> slots = std::exchange(watched_, {});
  for (const std::uint32_t slot : slots) {
    Connection& c = slab_[slot];
    c.watched = c.state == Connection::State::open && c.unfinished() != 0;
    if (!c.watched) continue;
    watched_.push_back(slot);
    if (c.connected) judge_packet(c);
  }
}

// The time in which we did not read does not count.
void KeptInput::judge_packet(Connection& c) {
  const std::uint64_t at = c.in_off - c.unfinished();
  if (c.packet_since_s == 0 || at != c.packet_at) {
    c.packet_at = at;
    c.packet_since_s = now_s_;
  }
  if (!c.reading) {
    ++c.packet_since_s;
    return;
  }
  const std::size_t time_s = options_.packet_timeout_s + c.packet_size() / kBytesPerSecond;
  if (now_s_ - std::min(now_s_, c.packet_since_s) > time_s)
    return end_unfinished(c, probe_.unfinished_late, Reason::keep_alive_timeout);
  const bool still = now_s_ - slab_.alive(c.slot).last_seen_s >= kStandsStill_s;
  if (still && c.unfinished() > kReadWhenFull && budget_.contended(c.holder))
    end_unfinished(c, probe_.unfinished_pushed_out, Reason::quota_exceeded);
}

// There is no room at all. Of the holder whose unfinished packets are most, the largest go, if they
// are what fills it: whole packets are the engine's to take, not the device's fault.
void KeptInput::relieve() {
  boost::unordered_flat_map<InputBudget::Holder, std::size_t> by_holder;
  InputBudget::Holder most = InputBudget::kOwn;
  for (const std::uint32_t slot : watched_) {
    const Connection& c = slab_[slot];
    if (c.state != Connection::State::open || c.holder == Connection::kNoHolder) continue;
    if (c.holder == InputBudget::kOwn) continue;
    by_holder[c.holder] += c.unfinished();
    if (by_holder[c.holder] > by_holder[most]) most = c.holder;
  }
  std::size_t excess = by_holder[most] / 2;
  if (excess < options_.input_cap_total / 16) return;
  std::vector<std::uint32_t> slots;
  for (const std::uint32_t slot : watched_) {
    if (slab_[slot].state == Connection::State::open && slab_[slot].holder == most)
      slots.push_back(slot);
  }
  std::sort(slots.begin(), slots.end(), [this](std::uint32_t a, std::uint32_t b) {
    return slab_[a].unfinished() > slab_[b].unfinished();
  });
  for (const std::uint32_t slot : slots) {
    const std::size_t n = slab_[slot].unfinished();
    end_unfinished(slab_[slot], probe_.unfinished_pushed_out, Reason::quota_exceeded);
    if (excess <= n) return;
    excess -= n;
  }
}

void KeptInput::end_unfinished(Connection& c, std::uint64_t& counter, Reason reason) {
  ++counter;
  calls_.dismiss(
      c, reason,
      reason == Reason::keep_alive_timeout ? CloseReason::keepalive_timeout : CloseReason::policy);
}

// -- engines

void KeptInput::acknowledge(base::ConnId conn, std::uint64_t in_ack) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || !engines_.of(*c).survives_engine() || in_ack <= c->in_ack ||
      in_ack > c->in_off)
    return;
  const std::uint64_t n = in_ack - c->in_ack;
  c->in_ack = in_ack;
  uncount_input(*c, n);
  if (n == c->in.size()) {
    if (c->in.capacity() > BufferPool::kBufferMax) {
      base::give_back(c->in);
    } else {
      c->in.clear();
      buffers_.recycle(c->in);
    }
  } else {
    base::drop_front(c->in, n);
  }
  // What is left of a packet that has not come whole is no work of an engine.
  if (Probation& p = engines_[c->partition].probation; p.judges()) {
    const bool over = c->state != Connection::State::ended && !c->has_whole_packet();
    p.cleared(conn, over ? UINT64_MAX : in_ack);
  }
  if (!c->reading) check_input_limits(*c);
}

// In the same process: what the engine left over is offered again.
void KeptInput::reoffer(base::ConnId conn) {
  Connection* c = slab_.find(conn);
  if (c == nullptr || c->state == Connection::State::closing || engines_.of(*c).survives_engine())
    return;
  const std::size_t used = engines_.of(*c).input(conn, c->in_ack, c->in_ack, base::as_bytes(c->in));
  c = slab_.find(conn);
  if (c == nullptr || used == 0) return;
  c->in_ack += used;
  uncount_input(*c, used);
  if (used == c->in.size()) {
    base::empty_out(c->in);
  } else {
    base::drop_front(c->in, used);
  }
  if (!c->reading) check_input_limits(*c);
}

}  // namespace berth::gateway::edge
