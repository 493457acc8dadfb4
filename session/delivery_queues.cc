#include "session/delivery_queues.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "session/entry_codec.h"
#include "session/events.h"
#include "session/state_slot.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::PacketType;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kWindowMessages = 1024;  // of a stored queue kept in memory
constexpr std::size_t kWindowBytes = 1 << 20;
constexpr std::size_t kLoadMessages = 256;
constexpr std::uint64_t kSequenceSpan = 65535;      // packet ids
constexpr std::size_t kRingKept = 64;               // slots an empty ring may keep
constexpr std::uint32_t kPeerMessages = 1'000'000;  // that wait for another partition
constexpr std::uint64_t kPeerBytes = std::uint64_t{1} << 30;
constexpr const char* kQueueFull = "the session's queue is full (session.queue_full)";

// No entry above it has been sent, on this connection or an earlier one.
std::uint64_t maybe_sent(const Session& s) {
  const Flow& q = s.flow();
  return s.channel != nullptr ? std::max(q.sent_seq, s.channel->resend_through) : q.sent_max;
}

// The newest message of the slot, if no connection can have been sent it yet and it may be
// replaced.
const Slot* unsent_of(const Session& s, std::string_view slot) {
  const Slots* all = s.flow().slots.get();
  if (slot.empty() || all == nullptr || all->gaps.size() >= DeliveryQueues::kGaps) return nullptr;
  for (const Slot& x : all->newest) {
    if (x.key == slot) return x.seq > maybe_sent(s) ? &x : nullptr;
  }
  return nullptr;
}

}  // namespace

// First phase of a delivery to a session with a queue: the entry goes into the open batch; it is
// sent when that is committed (pump).
void DeliveryQueues::append(Session& s, Delivery& d, std::uint8_t qos, bool retain,
                            const std::vector<std::uint32_t>& ids, std::string_view given) {
  const std::string state = given.empty() ? state_slot_of(s, d.message.topic) : std::string();
  const std::string_view slot = state.empty() ? given : std::string_view(state);
  const std::size_t bytes = bytes_of_entry(d.message, ids.size());
  if (!make_room(s, bytes, slot)) return;
  if (!slot.empty()) replace(s, slot);
  Flow& q = s.own_flow();
  const std::uint64_t seq = ++q.last_seq;
  q.cumulative_bytes += bytes;
  q.queued_bytes += bytes;
  sessions_.count_queue(s, static_cast<std::int64_t>(bytes));
  ++q.queued;
  sessions_.count_entries(1);
  ++probe_.queued;
  budget_.take_delivery(bytes);
  entry_.clear();
  encode_entry(entry_, d.message, qos, retain, q.cumulative_bytes, ids.empty() ? nullptr : &ids,
               d.mark);
  commits_.write({.kind = WriteKind::append, .session = s.id, .seq = seq, .value = entry_});
  commits_.touch(s, seq);
  if (!slot.empty()) keep_slot(s, {std::string(slot), seq, bytes, qos});
  if (s.channel == nullptr) return;
  if (seq > q.sent_max) reserve_sent(s);
  Outbox& o = outbox(s);
  const bool contiguous = q.first_seq + o.ring.size() == seq && !o.loading;
  if (!contiguous || o.ring.size() >= kWindowMessages || o.bytes >= kWindowBytes) return;
  OutEntry e;
  e.message = d.own();
  if (!ids.empty()) e.ids = std::make_unique<std::vector<std::uint32_t>>(ids);
  e.qos = qos;
  e.retain = retain;
  e.stored = true;
  e.queued = times_.now();
  o.bytes += e.message->size();
  o.ring.push_back(std::move(e));
}

// Room for one more entry, by the session's policy; the one that it replaces counts as gone. False:
// the new message is dropped.
bool DeliveryQueues::make_room(Session& s, std::size_t bytes, std::string_view slot) {
  const Flow& q = s.flow();
  const Slot* const old = unsent_of(s, slot);
  const std::size_t more =
      old == nullptr ? bytes : bytes - std::min<std::size_t>(bytes, old->bytes);
  if (s.account != nullptr && more != 0 && !s.account->queue_has_room(more)) {
    s.account->count(&Usage::dropped, 1);
    ++probe_.drop_quota;
    events::queue_full(s);
    return false;
  }
  if (s.uplink != 0) return true;  // Uplinks::stage() has looked
  const std::uint32_t messages_max = s.peer != 0 ? kPeerMessages : options_.queue_messages_max;
  const std::uint64_t bytes_max = s.peer != 0 ? kPeerBytes : options_.queue_bytes_max;
  const auto full = [&] {
    const Slot* gone = unsent_of(s, slot);  // unless it was dropped meanwhile
    const std::uint32_t fewer = gone == nullptr ? 0 : 1;
    const std::uint64_t less = gone == nullptr ? 0 : std::min(gone->bytes, q.queued_bytes);
    return q.queued - std::min(q.queued, fewer) >= messages_max ||
           q.queued_bytes - less + bytes > bytes_max;
  };
  if (!full()) return true;
  events::queue_full(s);
  if (options_.queue_policy == QueuePolicy::disconnect && s.channel != nullptr) {
    clients_.fail(*s.channel, Reason::quota_exceeded, CloseReason::policy, kQueueFull);
  }
  if (options_.queue_policy == QueuePolicy::drop_oldest) {
    while (full()) {
      const std::uint64_t oldest = std::max({q.first_seq, maybe_sent(s) + 1, q.dropped_seq + 1});
      if (oldest > q.last_seq) break;  // all of it may have reached the device
      drop_entry(s, oldest);
    }
    if (!full()) return true;
  }
  usage_.count_dropped(s);
  return false;
}

void DeliveryQueues::drop_entry(Session& s, std::uint64_t seq) {
  Flow& q = s.own_flow();
  const std::uint64_t gap = q.slots ? q.slots->gap_through(seq) : 0;
  q.dropped_seq = std::max(seq, gap);
  if (gap != 0) return;
  usage_.count_dropped(s);
  const OutEntry* e = entry_at(s, seq);
  if (e != nullptr) {
    finish(s, seq, Finished::dropped);
    trim(s);
  } else {
    finish_unread(s, seq, {}, Finished::dropped);
  }
  if (!q.slots) return;
  const auto gone = [seq](const Slot& x) { return x.seq == seq; };
  if (std::erase_if(q.slots->newest, gone) != 0 && s.stored) records_.put(s);
}

void DeliveryQueues::finish_unread(Session& s, std::uint64_t seq, const Slot& known, Finished how) {
  Flow& q = s.own_flow();
  OutEntry e;
  e.qos = known.qos;
  e.stored = true;
  sessions_.finished(s, seq, e, how);
  commits_.write({.kind = WriteKind::remove, .session = s.id, .seq = seq});
  count_removed(s, known.bytes);
  // While it is connected a hole stays: what is under way from the store counts from first_seq, and
  // nothing below that could be passed over.
  if (seq == q.first_seq && s.channel == nullptr) ++q.first_seq;
}

void DeliveryQueues::replace(Session& s, std::string_view slot) {
  const Slot* known = unsent_of(s, slot);
  if (known == nullptr) return;
  ++probe_.replaced;
  Slots& slots = *s.own_flow().slots;
  const Slot old = *known;
  std::erase_if(slots.newest, [&old](const Slot& x) { return x.seq == old.seq; });
  slots.add_gap(old.seq);
  if (entry_at(s, old.seq) == nullptr) return finish_unread(s, old.seq, old, Finished::replaced);
  finish(s, old.seq, Finished::replaced, old.bytes);
  trim(s);
}

void DeliveryQueues::keep_slot(Session& s, Slot newest) {
  BERTH_ASSERT(newest.key.size() <= kSlotBytes);
  Flow& q = s.own_flow();
  if (!q.slots) q.slots = std::make_unique<Slots>();
  auto& all = q.slots->newest;
  const std::uint64_t passed = maybe_sent(s);
  std::erase_if(all, [passed](const Slot& x) { return x.seq <= passed; });
  std::erase_if(q.slots->gaps, [&q](const auto& gap) { return gap.second < q.first_seq; });
  const auto same = std::find_if(all.begin(), all.end(),
                                 [&newest](const Slot& x) { return x.key == newest.key; });
  if (same != all.end() || all.size() >= kSlots) {
    ++probe_.slots_forgotten;
    all.erase(same != all.end() ? same : all.begin());
  }
  all.push_back(std::move(newest));
  if (s.stored) records_.put(s);
}

// One entry fewer is in the store.
void DeliveryQueues::count_removed(Session& s, std::uint64_t bytes) {
  Flow& q = s.own_flow();
  const std::uint64_t share = q.queued <= 1 ? q.queued_bytes
                              : bytes == 0  ? q.queued_bytes / q.queued
                                            : std::min(bytes, q.queued_bytes);
  q.queued_bytes -= share;
  sessions_.count_queue(s, -static_cast<std::int64_t>(share));
  if (q.queued != 0) --q.queued;
  sessions_.count_entries(-1);
}

// Nothing above sent_max may be sent; it is raised in strides with the batch that needs it.
void DeliveryQueues::reserve_sent(Session& s) {
  if (!s.stored) return;
  s.own_flow().sent_max = s.flow().last_seq + kSentStride;
  records_.put(s);
}

bool DeliveryQueues::can_send_at_once(Session& s) {
  const Flow& q = s.flow();
  const Channel& ch = *s.channel;
  if (is_ragged(s)) return false;
  return q.sent_seq == q.last_seq && (!s.outbox || s.outbox->inflight < ch.receive_maximum) &&
         q.last_seq + 1 - q.first_seq < kSequenceSpan && effects_.writable(ch.conn);
}

// A session without a store of its own (expiry 0): at once if it can be, else behind what waits
// (where an edge survives us, spill() has seen to those).
void DeliveryQueues::deliver(Session& s, Delivery& d, SubOptions options, bool retain,
                             const std::vector<std::uint32_t>& ids, base::Instant now) {
  Channel* ch = s.channel;
  if (ch == nullptr || ch->state != Channel::State::live) return;
  const std::uint8_t qos = std::min(d.message.qos, options.qos());
  Outbox& o = outbox(s);
  Flow& q = s.own_flow();
  const bool at_once = can_send_at_once(s);
  if (!at_once) {
    if (o.ring.size() - o.inflight >= options_.queue_messages_max ||
        o.bytes >= options_.queue_bytes_max) {
      usage_.count_dropped(s);
      events::queue_full(s);
      if (options_.queue_policy == QueuePolicy::disconnect) {
        clients_.fail(*ch, Reason::quota_exceeded, CloseReason::policy, kQueueFull);
      }
      return;
    }
    if (!effects_.writable(ch->conn)) ch->waiting_room = true;
  }
  const std::uint64_t seq = ++q.last_seq;
  q.durable_seq = seq;
  OutEntry e;
  e.qos = qos;
  e.retain = retain;
  e.mark = d.mark;
  if (at_once) {
    q.sent_seq = seq;
    const bool sent =
        ch->port->deliver(*ch, d.message, qos, retain, false, packet_id_of(seq), &ids, now);
    e.state = sent ? EntryState::sent : EntryState::done;
    o.inflight += sent ? 1 : 0;
    const bool expired = d.message.expires_at <= messages_at(now);
    if (!sent) sessions_.finished(s, seq, e, expired ? Finished::expired : Finished::unsendable);
    if (sent && qos == 1 && d.mark != 0) {  // another member gets it if this one ends
      e.message = d.own();
      o.bytes += e.message->size();
    }
    cookies_.changed(*ch, CookieSlot::sent_seq);
    cookies_.changed(*ch, CookieSlot::volatile_state);
  } else {
    e.message = d.own();
    e.queued = times_.now();
    if (!ids.empty()) e.ids = std::make_unique<std::vector<std::uint32_t>>(ids);
    o.bytes += e.message->size();
  }
  o.ring.push_back(std::move(e));
  if (at_once) trim(s);
}

void DeliveryQueues::pump(Session& s, base::Instant now) {
  Channel* ch = s.channel;
  if (ch == nullptr || !ch->live() || ch->gone) return;
  const std::uint64_t before = s.flow().sent_seq;
  while (s.flow().sent_seq < s.flow().durable_seq && ch->live()) {
    if (!pump_one(s, *ch, s.flow().sent_seq + 1, now)) break;
  }
  if (s.outbox) trim(s);
  if (s.flow().sent_seq != before) {
    cookies_.changed(*ch, CookieSlot::sent_seq);
    if (!s.persistent()) cookies_.changed(*ch, CookieSlot::volatile_state);
  }
  if (ch->retained && ch->live() && !ch->waiting_room) after_pump_.after_pump(*ch, now);
}

// False: the queue must wait, for memory, acknowledgements or room.
bool DeliveryQueues::pump_one(Session& s, Channel& ch, std::uint64_t seq, base::Instant now) {
  Flow& q = s.own_flow();
  OutEntry* e = entry_at(s, seq);
  if (e == nullptr) {
    request_load(s);
    return false;
  }
  Outbox& o = *s.outbox;
  if (e->state == EntryState::done) {
    q.sent_seq = seq;
    return true;
  }
  if (o.inflight >= ch.receive_maximum || seq - q.first_seq >= kSequenceSpan) return false;
  if (is_ragged(s)) return false;
  if (!effects_.writable(ch.conn)) {
    ch.waiting_room = true;
    return false;
  }
  const bool again = seq <= ch.resend_through;
  q.sent_seq = seq;
  if (e->state == EntryState::released && ch.park) {  // of when it spoke MQTT
    finish(s, seq, Finished::acknowledged);
    return true;
  }
  if (e->state == EntryState::released) {  // 4.4: PUBREL again
    ++o.inflight;
    ++probe_.tx_resent;
    ch.port->acknowledge(ch, PacketType::pubrel, packet_id_of(seq), Reason::success, Quota::none,
                         nullptr);
    return true;
  }
  new_message();
  const MessageView m = e->message->view();
  if (seq <= q.check_through && !gate_.may_hear(ch, m.topic)) {
    ++probe_.drop_not_authorized;
    finish(s, seq, Finished::denied);
    return true;
  }
  // After the death of edge and engine together nobody knows how far the connection had come. What
  // has expired meanwhile may not have been sent in time, so it is not sent (I7).
  if (again && seq > q.sent_surely && m.expires_at <= messages_at(now)) {
    ++probe_.drop_expired;
    finish(s, seq, Finished::expired);
    return true;
  }
  if (ch.port->deliver(ch, m, e->qos, e->retain, again, packet_id_of(seq), e->ids.get(), now)) {
    probe_.tx_resent += again;
    if (e->queued != 0) times_.sent(std::exchange(e->queued, 0));
    e->state = EntryState::sent;
    ++o.inflight;
    if (!e->stored && (e->mark == 0 || e->qos != 1)) {
      o.bytes -= std::min(o.bytes, e->message->size());
      e->message = {};
    }
  } else {
    finish(s, seq, m.expires_at <= messages_at(now) ? Finished::expired : Finished::unsendable);
  }
  return true;
}

void DeliveryQueues::request_load(Session& s) {
  Outbox& o = outbox(s);
  if (o.loading) return;
  o.loading = true;
  o.load_through = s.flow().durable_seq;
  o.load_ticket = ++load_tickets_;
  effects_.load_queue(s.id, s.flow().first_seq + o.ring.size(), kLoadMessages, kWindowBytes,
                      o.load_ticket);
}

void DeliveryQueues::loaded(base::SessionId id, std::uint64_t ticket,
                            base::result<std::vector<StoredEntry>> entries, base::Instant now) {
  Session* s = sessions_.by_id(id);
  if (s == nullptr || !s->outbox || !s->outbox->loading) return;
  Outbox& o = *s->outbox;
  if (ticket != o.load_ticket) return;  // asked by an earlier connection
  o.loading = false;
  Channel* ch = s->channel;
  if (ch == nullptr) return;
  const WorksFor scope = works_for(ch->conn);
  if (!entries) return unread_.push_back(id);  // asked again at the next tick
  const auto push = [&](OutEntry e, std::uint64_t seq) {
    if (e.state != EntryState::done &&
        seq <= s->flow().sent_seq) {  // went out on this connection before
      if (e.state == EntryState::queued) e.state = EntryState::sent;
      ++o.inflight;
    }
    if (e.message) o.bytes += e.message->size();
    o.ring.push_back(std::move(e));
  };
  const auto next = [&] { return s->flow().first_seq + o.ring.size(); };
  const auto fill_holes = [&](std::uint64_t end) {
    while (next() < end)
      push(OutEntry{.message = {}, .ids = {}, .state = EntryState::done}, next());
  };
  for (const StoredEntry& in : *entries) {
    const auto view = decode_entry(in.value);
    const bool dropped = in.seq <= s->flow().dropped_seq &&  // while it was being read
                         in.seq > std::max(s->flow().sent_seq, ch->resend_through);
    if (in.seq < next() || !view || dropped) continue;  // a damaged entry becomes a hole
    fill_holes(in.seq);
    if (s->flow().slots && s->flow().slots->gap_through(in.seq) != 0) {  // replaced, uncommitted
      fill_holes(in.seq + 1);
      continue;
    }
    OutEntry e;
    e.state = view->released ? EntryState::released : EntryState::queued;
    e.qos = view->message.qos;
    e.retain = view->message.retain;
    e.stored = true;
    if (!view->released) e.message = MessagePtr(view->message);
    if (!view->ids.empty()) e.ids = std::make_unique<std::vector<std::uint32_t>>(view->ids);
    push(std::move(e), in.seq);
  }
  if (entries->empty()) fill_holes(o.load_through + 1);
  trim(*s);
  if (next() <= s->flow().sent_seq) {
    request_load(*s);  // acknowledgements must find what is in flight
    return;
  }
  if (ch->stalled && ch->pending == 0 && ch->live()) connections_.unstall(*ch);
  const auto expired = std::move(o.expired);
  const base::ConnId conn = ch->conn;
  pump(*s, now);
  if (!expired) return;
  for (const std::uint64_t tag : *expired) segment_expired(conn, tag, now);
}

// A read of the store has failed. Whoever is stalled until it succeeds has no other wake-up.
void DeliveryQueues::read_again() {
  for (const base::SessionId id : std::exchange(unread_, {})) {
    Session* s = sessions_.by_id(id);
    if (s != nullptr && s->channel != nullptr) request_load(*s);
  }
}

void DeliveryQueues::finish(Session& s, std::uint64_t seq, Finished how, std::uint64_t bytes) {
  OutEntry& e = *entry_at(s, seq);
  Outbox& o = *s.outbox;
  sessions_.finished(s, seq, e, how);
  if (e.state == EntryState::sent || e.state == EntryState::released) --o.inflight;
  e.state = EntryState::done;
  if (e.message) o.bytes -= std::min(o.bytes, e.message->size());
  e.message = {};
  e.ids.reset();
  if (!e.stored) return;
  commits_.write(
      {.kind = WriteKind::remove, .session = s.id, .seq = seq, .epoch = s.stored ? s.epoch : 0});
  count_removed(s, bytes);
}

// PUBREC came: durable before the PUBREL leaves.
void DeliveryQueues::release(Session& s, OutEntry& e, std::uint64_t seq) {
  e.state = EntryState::released;
  if (e.message) s.outbox->bytes -= std::min(s.outbox->bytes, e.message->size());
  e.message = {};
  if (!e.stored) return;
  std::string value;
  encode_released(value, s.flow().cumulative_bytes);
  commits_.write({.kind = WriteKind::append, .session = s.id, .seq = seq, .value = value});
}

void DeliveryQueues::trim(Session& s) {
  Flow& q = s.own_flow();
  Ring<OutEntry>& ring = s.outbox->ring;
  while (!ring.empty() && ring.front().state == EntryState::done && q.first_seq <= q.sent_seq) {
    ring.pop_front();
    ++q.first_seq;
  }
  if (ring.empty() && ring.capacity() > kRingKept) ring.release();
}

// A device that acknowledges here and there: nothing more is sent before what it owes is less.
bool DeliveryQueues::is_ragged(Session& s) {
  if (!s.outbox || !s.outbox->ragged) return false;
  constexpr std::size_t kRunsMax = 1024;
  std::size_t runs = 0;
  const Flow& q = s.flow();
  for (std::uint64_t seq = q.first_seq + 1; seq <= q.sent_seq; ++seq) {
    const OutEntry* a = entry_at(s, seq - 1);
    const OutEntry* b = entry_at(s, seq);
    if (a == nullptr || b == nullptr) break;
    runs += a->state != b->state || a->qos != b->qos || a->stored != b->stored ? 1 : 0;
  }
  s.outbox->ragged = runs > kRunsMax;
  return s.outbox->ragged;
}

// A connection that was attached goes on: what it has in flight is read first.
void DeliveryQueues::wake(Channel& ch, base::Instant now) {
  if (!ch.live() || ch.session == nullptr) return;
  const WorksFor scope = works_for(ch.conn);
  if (ch.stalled) {
    request_load(*ch.session);
  } else {
    pump(*ch.session, now);
  }
}

void DeliveryQueues::segment_expired(base::ConnId conn, std::uint64_t tag, base::Instant now) {
  Channel* ch = connections_.find(conn);
  if (ch == nullptr) return;  // it has ended, and its edge forgets it
  const WorksFor scope = works_for(conn);
  const std::size_t before = commits_.writes();
  Session* s = ch->session;
  if (s != nullptr && s->channel == ch && tag >= s->flow().first_seq && tag <= s->flow().sent_seq) {
    OutEntry* e = entry_at(*s, tag);
    if (e == nullptr) {  // loaded() goes on
      auto& expired = outbox(*s).expired;
      if (!expired) expired = std::make_unique<std::set<std::uint64_t>>();
      expired->insert(tag);
      return request_load(*s);
    }
    if (e->state == EntryState::sent) finish(*s, tag, Finished::expired);
    if (!s->persistent()) cookies_.changed(*ch, CookieSlot::volatile_state);
    pump(*s, now);
  }
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = [this, conn, tag](base::Instant) {
    const WorksFor of = works_for(conn);
    if (connections_.find(conn) != nullptr)
      effects_.told_taken(conn, tag, protocol::link::Fate::dropped);
  };
  commits_.submit(std::move(d), commits_.writes() != before, now);
}

}  // namespace berth::session
