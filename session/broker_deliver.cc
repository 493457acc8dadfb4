// From a session's queue to its device: sequence numbers, packet ids, windows, acknowledgements
// (MQTT 5.0 sections 4.3, 4.4, 4.9; docs/design.md, "Packet ids").
#include <algorithm>

#include "base/assert.h"
#include "protocol/mqtt/faults.h"
#include "session/broker.h"
#include "session/entry_codec.h"
#include "session/events.h"

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
constexpr std::uint64_t kSequenceSpan = 65535;  // packet ids
constexpr std::size_t kRingKept = 64;           // slots an empty ring may keep
constexpr std::uint64_t kSentStride = 1024;
constexpr std::uint32_t kPeerMessages = 1'000'000;  // that wait for another partition
constexpr std::size_t kAliasBytesMax = 2048;        // topics that our aliases stand for
constexpr std::uint64_t kPeerBytes = std::uint64_t{1} << 30;
constexpr const char* kQueueFull = "the session's queue is full (session.queue_policy)";

}  // namespace

Outbox& Broker::outbox(Session& s) {
  if (!s.outbox) s.outbox = std::make_unique<Outbox>();
  return *s.outbox;
}

OutEntry* Broker::entry_at(Session& s, std::uint64_t seq) {
  const Flow& q = s.flow();
  if (!s.outbox || seq < q.first_seq || seq - q.first_seq >= s.outbox->ring.size()) return nullptr;
  return &s.outbox->ring[seq - q.first_seq];
}

// -- into the queue

// Room for one more entry, by the session's policy. False: the new message is dropped.
bool Broker::make_room(Session& s, std::size_t bytes) {
  const Flow& q = s.flow();
  if (s.account != nullptr && !s.account->queue_has_room(bytes)) {
    s.account->count(&Usage::dropped, 1);
    ++probe_.drop_quota;
    events::queue_full(s);
    return false;
  }
  const std::uint32_t messages_max = s.peer != 0 ? kPeerMessages : options_.queue_messages_max;
  const std::uint64_t bytes_max = s.peer != 0 ? kPeerBytes : options_.queue_bytes_max;
  const auto full = [&] { return q.queued >= messages_max || q.queued_bytes + bytes > bytes_max; };
  if (!full()) return true;
  events::queue_full(s);
  if (options_.queue_policy == QueuePolicy::disconnect && s.channel != nullptr) {
    fail(*s.channel, Reason::quota_exceeded, CloseReason::policy, kQueueFull);
  }
  if (options_.queue_policy == QueuePolicy::drop_oldest) {
    while (full()) {
      const std::uint64_t sent =
          s.channel != nullptr ? std::max(q.sent_seq, s.channel->resend_through) : q.sent_max;
      const std::uint64_t oldest = std::max({q.first_seq, sent + 1, q.dropped_seq + 1});
      if (oldest > q.last_seq) break;  // all of it may have reached the device
      drop_entry(s, oldest);
    }
    if (!full()) return true;
  }
  count_dropped(s);
  return false;
}

void Broker::drop_entry(Session& s, std::uint64_t seq) {
  Flow& q = s.own_flow();
  count_dropped(s);
  q.dropped_seq = seq;
  OutEntry* e = entry_at(s, seq);
  if (e != nullptr) {
    finish_entry(s, seq);
    trim(s);
    return;
  }
  write({.kind = WriteKind::remove, .session = s.id, .seq = seq});
  count_removed(s);
  // While it is connected a hole stays: what is under way from the store counts from first_seq, and
  // nothing below that could be passed over.
  if (seq == q.first_seq && s.channel == nullptr) ++q.first_seq;
}

// One entry fewer is in the store.
void Broker::count_removed(Session& s) {
  Flow& q = s.own_flow();
  const std::uint64_t share = q.queued <= 1 ? q.queued_bytes : q.queued_bytes / q.queued;
  q.queued_bytes -= share;
  count_queue(s, -static_cast<std::int64_t>(share));
  if (q.queued != 0) --q.queued;
  if (queued_now_ != 0) --queued_now_;
}

// First phase of a delivery to a session with a queue: the entry goes into the open batch; it is
// sent when that is committed (pump).
void Broker::append_stored(Session& s, Delivery& d, std::uint8_t qos, bool retain,
                           const std::vector<std::uint32_t>& ids) {
  constexpr std::size_t kIdBytes = 5;  // of a subscription identifier in an entry
  const std::size_t bytes = d.message.topic.size() + d.message.payload.size() +
                            d.message.forwarded.size() + kIdBytes * ids.size() + 16;
  if (!make_room(s, bytes)) return;
  Flow& q = s.own_flow();
  const std::uint64_t seq = ++q.last_seq;
  q.cumulative_bytes += bytes;
  q.queued_bytes += bytes;
  count_queue(s, static_cast<std::int64_t>(bytes));
  ++q.queued;
  ++queued_now_;
  ++probe_.queued;
  budget_.take_delivery(bytes);
  head_.clear();
  encode_entry(head_, d.message, qos, retain, q.cumulative_bytes, ids.empty() ? nullptr : &ids,
               d.mark);
  write({.kind = WriteKind::append, .session = s.id, .seq = seq, .value = head_});
  if (q.touched == 0) {
    open_.touched.emplace_back(s.id, seq);
    q.touched = static_cast<std::uint32_t>(open_.touched.size());
  } else {
    open_.touched[q.touched - 1].second = seq;
  }
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

// Nothing above sent_max may be sent; it is raised in strides with the batch that needs it.
void Broker::reserve_sent(Session& s) {
  if (!s.stored) return;
  s.own_flow().sent_max = s.flow().last_seq + kSentStride;
  put_record(s);
}

bool Broker::can_send_at_once(Session& s) {
  const Flow& q = s.flow();
  const Channel& ch = *s.channel;
  if (is_ragged(s)) return false;
  return q.sent_seq == q.last_seq && (!s.outbox || s.outbox->inflight < ch.receive_maximum) &&
         q.last_seq + 1 - q.first_seq < kSequenceSpan && effects_.writable(ch.conn);
}

// A session without a store of its own (expiry 0): at once if it can be, else behind what waits
// (where an edge survives us, spill() has seen to those).
void Broker::deliver_volatile(Session& s, Delivery& d, SubOptions options, bool retain,
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
      count_dropped(s);
      events::queue_full(s);
      if (options_.queue_policy == QueuePolicy::disconnect) {
        fail(*ch, Reason::quota_exceeded, CloseReason::policy, kQueueFull);
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
        send_message(*ch, d.message, qos, retain, false, packet_id_of(seq), &ids, now);
    e.state = sent ? EntryState::sent : EntryState::done;
    o.inflight += sent ? 1 : 0;
    if (sent && qos == 1 && d.mark != 0) {  // another member gets it if this one ends
      e.message = d.own();
      o.bytes += e.message->size();
    }
    dirty(*ch, CookieSlot::sent_seq);
    dirty(*ch, CookieSlot::volatile_state);
  } else {
    e.message = d.own();
    e.queued = times_.now();
    if (!ids.empty()) e.ids = std::make_unique<std::vector<std::uint32_t>>(ids);
    o.bytes += e.message->size();
  }
  o.ring.push_back(std::move(e));
  if (at_once) trim(s);
}

// -- out to the device

// False: not sent, the device could not take it (3.1.2-25: too large for it, or expired).
bool Broker::send_message(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain,
                          bool dup, std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                          base::Instant now) {
  if (ch.speaks_park) return send_command(ch, m, qos, dup, packet_id, now);
  if (ch.session->peer != 0 && (qos != 0 || (ids != nullptr && !ids->empty())))
    return send_to_peer(ch, m, qos, retain, dup, packet_id, ids, now);
  return send_packet(ch, m, qos, retain, dup, packet_id, ids, now);
}

namespace {

// An alias that is new with this message is known to the device only when the message is sent, so
// it must fit with it: an alias and its property are 3 bytes, and both lengths may grow by one.
bool may_use_alias(const Channel& ch, const mqtt::PublishOut& out) {
  return ch.packet_max == 0 || (ch.alias_out && ch.alias_out->contains(std::string(out.topic))) ||
         mqtt::publish_size(ch.version, out) + 5 <= ch.packet_max;
}

}  // namespace

bool Broker::send_packet(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                         std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
                         base::Instant now) {
  mqtt::PublishOut out{.topic = ch.scope ? ch.scope->leave(m.topic, left_) : m.topic,
                       .payload = m.payload,
                       .forwarded = m.forwarded,
                       .packet_id = packet_id,
                       .qos = qos,
                       .retain = retain,
                       .dup = dup};
  if (m.expires_at != base::kNever) {
    const std::int64_t left_ms = m.expires_at.ms - messages_at(now).ms;
    if (left_ms <= 0 && !dup) {
      ++probe_.drop_expired;
      return false;
    }
    out.message_expiry_s =
        static_cast<std::uint32_t>((std::max<std::int64_t>(left_ms, 0) + 999) / 1000);
  }
  if (ids != nullptr && !ids->empty()) out.subscription_ids = ids;
  if (ch.alias_maximum != 0 && may_use_alias(ch, out)) use_alias(ch, out);
  if (ch.packet_max != 0 && mqtt::publish_size(ch.version, out) > ch.packet_max) {
    ++probe_.drop_too_large;
    return false;
  }
  budget_.take_delivery(m.payload.size());
  probe_.tx_qos0 += qos == 0;
  probe_.tx_qos1 += qos == 1;
  probe_.tx_qos2 += qos == 2;
  const bool plain = out.subscription_ids == nullptr && ch.alias_maximum == 0 && !dup;
  const int view = !ch.scope ? 0 : ch.scope->who().role == Role::device ? 1 : 2;  // of the topic
  const int key = (view << 4) | (ch.v5() ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  if (!plain || head_cache_.key != key) {
    head_cache_.bytes.clear();
    mqtt::encode_publish_head(head_cache_.bytes, ch.version, out);
    head_cache_.packet_id_at = 1 + length_field_bytes(head_cache_.bytes) + 2 + out.topic.size();
    head_cache_.key = plain ? key : -1;
  } else if (qos != 0) {
    head_cache_.bytes[head_cache_.packet_id_at] = static_cast<char>(packet_id >> 8);
    head_cache_.bytes[head_cache_.packet_id_at + 1] = static_cast<char>(packet_id);
  }
  effects_.send(ch.conn, head_cache_.bytes, m.payload);
  return true;
}

std::size_t Broker::length_field_bytes(const std::string& packet) {
  std::size_t n = 1;
  while ((packet[n] & 0x80) != 0) ++n;
  return n;
}

// Outbound topic aliases: the first topics seen get one and keep it (3.3.2.3.4).
void Broker::use_alias(Channel& ch, mqtt::PublishOut& out) {
  if (!ch.alias_out) {
    ch.alias_out = std::make_unique<boost::unordered_flat_map<std::string, std::uint16_t>>();
  }
  const auto it = ch.alias_out->find(std::string(out.topic));
  if (it != ch.alias_out->end()) {
    out.topic_alias = it->second;
    out.topic = {};
    return;
  }
  const std::uint16_t limit = std::min<std::uint16_t>(ch.alias_maximum, 64);
  if (ch.alias_out->size() >= limit) return;
  std::size_t bytes = out.topic.size();
  for (const auto& [topic, alias] : *ch.alias_out) bytes += topic.size();
  if (bytes > kAliasBytesMax) return;  // they are in the cookie
  out.topic_alias = static_cast<std::uint16_t>(ch.alias_out->size() + 1);
  ch.alias_out->emplace(std::string(out.topic), out.topic_alias);
  dirty(ch, CookieSlot::alias_out);
}

void Broker::pump(Session& s, base::Instant now) {
  Channel* ch = s.channel;
  if (ch == nullptr || !ch->live() || ch->gone) return;
  const std::uint64_t before = s.flow().sent_seq;
  while (s.flow().sent_seq < s.flow().durable_seq && ch->live()) {
    if (!pump_one(s, *ch, s.flow().sent_seq + 1, now)) break;
  }
  if (s.outbox) trim(s);
  if (s.flow().sent_seq != before) {
    dirty(*ch, CookieSlot::sent_seq);
    if (!s.persistent()) dirty(*ch, CookieSlot::volatile_state);
  }
  if (ch->retained && ch->live() && !ch->waiting_room) continue_retained(*ch, now);
}

// False: the queue must wait, for memory, acknowledgements or room.
bool Broker::pump_one(Session& s, Channel& ch, std::uint64_t seq, base::Instant now) {
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
  if (e->state == EntryState::released && ch.speaks_park) {  // of when it spoke MQTT
    finish_entry(s, seq);
    return true;
  }
  if (e->state == EntryState::released) {  // 4.4: PUBREL again
    ++o.inflight;
    ++probe_.tx_resent;
    reply(ch, PacketType::pubrel, packet_id_of(seq), Reason::success);
    return true;
  }
  head_cache_.key = -1;
  const MessageView m = e->message->view();
  if (seq <= q.check_through && !may_hear(ch, m.topic)) {
    ++probe_.drop_not_authorized;
    finish_entry(s, seq);
    return true;
  }
  // After the death of edge and engine together nobody knows how far the connection had come. What
  // has expired meanwhile may not have been sent in time, so it is not sent (I7).
  if (again && seq > q.sent_surely && m.expires_at <= messages_at(now)) {
    ++probe_.drop_expired;
    finish_entry(s, seq);
    return true;
  }
  if (send_message(ch, m, e->qos, e->retain, again, packet_id_of(seq), e->ids.get(), now)) {
    probe_.tx_resent += again;
    if (e->queued != 0) times_.sent(std::exchange(e->queued, 0));
    e->state = EntryState::sent;
    ++o.inflight;
    if (!e->stored && (e->mark == 0 || e->qos != 1)) {
      o.bytes -= std::min(o.bytes, e->message->size());
      e->message = {};
    }
  } else {
    finish_entry(s, seq);
  }
  return true;
}

void Broker::request_load(Session& s) {
  Outbox& o = outbox(s);
  if (o.loading) return;
  o.loading = true;
  o.load_through = s.flow().durable_seq;
  o.load_ticket = ++load_tickets_;
  effects_.load_queue(s.id, s.flow().first_seq + o.ring.size(), kLoadMessages, kWindowBytes,
                      o.load_ticket);
}

void Broker::queue_loaded(base::SessionId id, std::uint64_t ticket,
                          base::result<std::vector<StoredEntry>> entries, base::Instant now) {
  Session* s = by_id(id);
  if (s != nullptr && estates_.has(id)) return estate_loaded(id, ticket, entries);
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
    if (in.seq < next() || !view) continue;  // a damaged entry becomes a hole
    fill_holes(in.seq);
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
  if (ch->stalled && ch->pending == 0 && ch->live()) unstall(*ch);
  pump(*s, now);
  for (const ExpiredSegment& e : std::exchange(expired_, {})) segment_expired(e.conn, e.tag, now);
}

// -- acknowledgements

void Broker::finish_entry(Session& s, std::uint64_t seq) {
  OutEntry& e = *entry_at(s, seq);
  Outbox& o = *s.outbox;
  if (e.state == EntryState::sent || e.state == EntryState::released) --o.inflight;
  e.state = EntryState::done;
  if (e.message) o.bytes -= std::min(o.bytes, e.message->size());
  e.message = {};
  e.ids.reset();
  if (!e.stored) return;
  write({.kind = WriteKind::remove, .session = s.id, .seq = seq, .epoch = s.stored ? s.epoch : 0});
  count_removed(s);
}

void Broker::trim(Session& s) {
  Flow& q = s.own_flow();
  Ring<OutEntry>& ring = s.outbox->ring;
  while (!ring.empty() && ring.front().state == EntryState::done && q.first_seq <= q.sent_seq) {
    ring.pop_front();
    ++q.first_seq;
  }
  if (ring.empty() && ring.capacity() > kRingKept) ring.release();
}

bool Broker::on_ack(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  mqtt::AckView a;
  const Reason error = mqtt::decode_ack(f, ch.version, a);
  if (error != Reason::success) {
    fail(ch, error, CloseReason::protocol_error, mqtt::text_of_fault(f, error));
    return true;
  }
  Session& s = *ch.session;
  const std::uint64_t seq = seq_of(a.packet_id, s.flow().first_seq);
  OutEntry* e = seq <= s.flow().sent_seq ? entry_at(s, seq) : nullptr;
  const bool of_qos1 = f.type() == PacketType::puback;
  if (e != nullptr && e->state != EntryState::done && (e->qos == 1) != of_qos1) {  // 4.3.2, 4.3.3
    fail(ch, Reason::protocol_error, CloseReason::protocol_error,
         mqtt::name_of(f.type()) + " for packet id " + std::to_string(a.packet_id) +
             ", which has another QoS");
    return true;
  }
  const std::size_t before = writes();
  Deferred d;
  d.packet_id = a.packet_id;
  if (f.type() == PacketType::pubrec) {
    if (e != nullptr && e->qos == 2 && static_cast<std::uint8_t>(a.reason) >= 0x80) {
      finish_entry(s, seq);  // 4.3.3: refused, no PUBREL
    } else {
      d.reply_type = PacketType::pubrel;
      const bool known = e != nullptr && e->qos == 2 && e->state != EntryState::done;
      if (!known && ch.v5()) d.reason = Reason::packet_identifier_not_found;
      if (known && e->state == EntryState::sent) release_entry(s, *e, seq);
    }
  } else if (e != nullptr) {
    const bool puback =
        f.type() == PacketType::puback && e->qos == 1 && e->state == EntryState::sent;
    const bool pubcomp = f.type() == PacketType::pubcomp && e->state == EntryState::released;
    if (puback || pubcomp) {
      ++probe_.acked;
      finish_entry(s, seq);
    }
  }
  if (!s.persistent()) dirty(ch, CookieSlot::volatile_state);
  if (writes() != before) {
    defer(ch, std::move(d));
  } else {
    defer_or_reply(ch, std::move(d));
  }
  if (s.outbox) pump(s, now);
  return true;
}

void Broker::segment_expired(base::ConnId conn, std::uint64_t tag, base::Instant now) {
  Channel* ch = find(conn);
  if (ch == nullptr) return;  // it has ended, and its edge forgets it
  const WorksFor scope = works_for(conn);
  const std::size_t before = writes();
  Session* s = ch->session;
  if (s != nullptr && s->channel == ch && tag >= s->flow().first_seq && tag <= s->flow().sent_seq) {
    OutEntry* e = entry_at(*s, tag);
    if (e == nullptr) return expired_.push_back({conn, tag});  // queue_loaded() goes on
    if (e->state == EntryState::sent) finish_entry(*s, tag);
    if (!s->persistent()) dirty(*ch, CookieSlot::volatile_state);
    pump(*s, now);
  }
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = [this, conn, tag](base::Instant) {
    const WorksFor of = works_for(conn);
    if (find(conn) != nullptr) effects_.expired_taken(conn, tag);
  };
  submit(std::move(d), writes() != before, now);
}

// PUBREC came: durable before the PUBREL leaves.
void Broker::release_entry(Session& s, OutEntry& e, std::uint64_t seq) {
  e.state = EntryState::released;
  if (e.message) s.outbox->bytes -= std::min(s.outbox->bytes, e.message->size());
  e.message = {};
  if (!e.stored) return;
  std::string value;
  encode_released(value, s.flow().cumulative_bytes);
  write({.kind = WriteKind::append, .session = s.id, .seq = seq, .value = value});
}

}  // namespace berth::session
