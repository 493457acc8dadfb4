// Records and cookies: what the store and the edge keep for us, out and back in.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "session/broker.h"
#include "session/entry_codec.h"
#include "session/records.pb.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::Cookie;
using protocol::link::CookieSlot;

namespace {

std::string raw_filter(const Router& router, const Subscription& sub) {
  const std::string filter = router.filter(sub.filter);
  return sub.shared ? "$share/" + *sub.shared + "/" + filter : filter;
}

const std::string& slot(const Cookie& c, CookieSlot s) {
  return c[static_cast<std::size_t>(s)];
}

}  // namespace

void Broker::will_to_pb(const Will& w, pb::Will& out) {
  const MessageView m = w.message->view();
  out.set_topic(m.topic.data(), m.topic.size());
  out.set_payload(m.payload.data(), m.payload.size());
  out.set_forwarded(m.forwarded.data(), m.forwarded.size());
  out.set_qos(m.qos);
  out.set_retain(m.retain);
  out.set_delay_s(w.delay_s);
  out.set_message_expiry_s(w.message_expiry_s);
}

std::unique_ptr<Will> Broker::will_from_pb(const pb::Will& in) {
  auto w = std::make_unique<Will>();
  w->message = MessagePtr(MessageView{.topic = in.topic(),
                                      .payload = in.payload(),
                                      .forwarded = in.forwarded(),
                                      .qos = static_cast<std::uint8_t>(in.qos()),
                                      .retain = in.retain()});
  w->delay_s = in.delay_s();
  w->message_expiry_s = in.message_expiry_s();
  return w;
}

std::string Broker::encode_will(const Will& w) {
  pb::Will out;
  will_to_pb(w, out);
  return out.SerializeAsString();
}

// -- sessions

Session* Broker::by_id(base::SessionId id) {
  const auto it = by_id_.find(id.value);
  return it == by_id_.end() ? nullptr : it->second.get();
}

Session* Broker::by_client(TenantId, std::string_view client_id) {
  const auto it = by_client_.find(client_id);
  return it == by_client_.end() ? nullptr : *it;
}

const Session* Broker::find_session(TenantId, std::string_view client_id) const {
  const auto it = by_client_.find(client_id);
  return it == by_client_.end() ? nullptr : *it;
}

Session& Broker::make_session(TenantId tenant, std::string_view client_id, base::SessionId id) {
  auto owned = std::make_unique<Session>();
  Session& s = *owned;
  s.id = id;
  s.tenant = tenant;
  s.client_id = client_id;
  const bool fresh = by_id_.emplace(id.value, std::move(owned)).second;
  BERTH_ASSERT(fresh);
  by_client_.insert(&s);
  next_session_ = std::max(next_session_, id.value + 1);
  return s;
}

void Broker::erase_session(Session& s) {
  BERTH_ASSERT(s.channel == nullptr && s.subscriptions.empty());
  queued_now_ -= std::min<std::uint64_t>(queued_now_, s.queued);
  queued_bytes_now_ -= std::min(queued_bytes_now_, s.queued_bytes);
  by_client_.erase(&s);
  by_id_.erase(s.id.value);
}

void Broker::put_record(Session& s) {
  pb::Session r;
  r.set_tenant(s.tenant);
  r.set_client_id(s.client_id);
  r.set_epoch(s.epoch);
  r.set_expiry_s(s.expiry_s);
  r.set_expires_at_ms(s.channel != nullptr || s.expires_at == base::kNever ? 0 : s.expires_at.ms);
  r.set_owner_edge(s.owner_edge);
  r.set_owner_conn(s.owner_conn);
  r.set_session_present(s.session_present);
  r.set_sent_max(s.sent_max);
  r.set_sent_before(s.sent_before);
  r.set_will_at_ms(s.will_at == base::kNever ? 0 : s.will_at.ms);
  if (s.will) will_to_pb(*s.will, *r.mutable_will());
  if (s.persistent()) {
    for (const Subscription& sub : s.subscriptions) {
      auto& out = *r.add_subscriptions();
      out.set_filter(raw_filter(tenant(s.tenant).router, sub));
      out.set_options(sub.options.raw);
      out.set_id(sub.id);
    }
  }
  s.stored = true;
  const std::string value = r.SerializeAsString();
  write({.kind = WriteKind::put_session, .session = s.id, .epoch = s.epoch, .value = value});
}

// -- from the store

void Broker::session(base::SessionId id, std::string_view record) {
  pb::Session r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  if (by_client(static_cast<TenantId>(r.tenant()), r.client_id()) != nullptr) return;
  Session& s = make_session(static_cast<TenantId>(r.tenant()), r.client_id(), id);
  s.epoch = r.epoch();
  s.expiry_s = r.expiry_s();
  if (r.expires_at_ms() != 0) s.expires_at = {r.expires_at_ms()};
  if (r.will_at_ms() != 0) s.will_at = {r.will_at_ms()};
  s.owner_edge = r.owner_edge();
  s.owner_conn = r.owner_conn();
  s.session_present = r.session_present();
  s.sent_max = r.sent_max();
  s.sent_before = r.sent_before();
  s.stored = true;
  if (r.has_will()) s.will = will_from_pb(r.will());
  for (const pb::Subscription& sub : r.subscriptions()) {
    add_subscription(s, sub.filter(), SubOptions{static_cast<std::uint8_t>(sub.options())},
                     sub.id());
  }
}

namespace {

void raise_sequence(Session& s, std::uint64_t seq) {
  if (s.first_seq > s.last_seq) s.first_seq = std::max(s.first_seq, seq + 1);  // nothing is queued
  s.last_seq = std::max(s.last_seq, seq);
  s.durable_seq = std::max(s.durable_seq, s.last_seq);
}

void adopt_queue(Session& s, const StoredEntry& first, const StoredEntry& last) {
  const auto a = decode_entry(first.value);
  const auto b = decode_entry(last.value);
  s.first_seq = first.seq;
  s.last_seq = std::max(s.last_seq, last.seq);
  s.durable_seq = s.last_seq;
  s.queued = static_cast<std::uint32_t>(last.seq - first.seq + 1);
  if (b) s.cumulative_bytes = b->cumulative;
  if (a && b) {
    const std::uint64_t one = first.value.size();
    s.queued_bytes = std::max(b->cumulative - std::min(a->cumulative, b->cumulative), one);
  }
}

}  // namespace

void Broker::queue(base::SessionId id, const StoredEntry& first, const StoredEntry& last) {
  Session* s = by_id(id);
  if (s == nullptr) {
    orphan_queues_.emplace(id.value, std::pair(first, last));
    next_session_ = std::max(next_session_, id.value + 1);
    return;
  }
  adopt_queue(*s, first, last);
  queued_now_ += s->queued;
  queued_bytes_now_ += s->queued_bytes;
}

void Broker::received(base::SessionId id, std::uint16_t packet_id, std::string_view value) {
  Session* s = by_id(id);
  if (s == nullptr) return;
  base::RecordReader r(value);
  Received from{.conn = r.varint(), .offset = r.varint(), .effective = false};
  if (!s->received)
    s->received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
  s->received->insert_or_assign(packet_id, from);
}

void Broker::retained(std::string_view key, std::string_view value) {
  const auto m = decode_retained(value);
  if (key.size() > 2 && m) tenant(0).retained.put(m->topic, MessagePtr(*m));
}

void Broker::applied(std::string_view key, std::string_view value) {
  if (key.size() != 24) return;
  if (base::get_key64(key) == 0) {  // a will whose publication was begun
    pb::Will w;
    if (w.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      due_wills_.emplace_back(std::string(key), will_from_pb(w));
    }
    next_intent_ = std::max(next_intent_, base::get_key64(key.substr(16)) + 1);
    return;
  }
  if (base::get_key64(key) != options_.edge_id) {
    foreign_applied_.emplace_back(key);
    return;
  }
  orphan_applied_[base::get_key64(key.substr(8))].emplace_back(base::get_key64(key.substr(16)),
                                                               std::string(value));
}

// -- from the edge

void Broker::attach(const protocol::link::Attach& a, base::Instant now) {
  Channel& ch = make_channel(a.conn);
  ch.in_off = ch.edge_in_ack = a.in_ack;
  ch.replay_end = options_.replay ? a.in_end : 0;
  ch.loopback = a.loopback;
  if (const auto it = orphan_applied_.find(a.conn.packed()); it != orphan_applied_.end()) {
    ch.applied = std::make_unique<AppliedList>(std::move(it->second));
    orphan_applied_.erase(it);
  }
  if (!a.connected) return;
  if (!reattach(ch, a, now)) return;
  ++probe_.session_reattached;
  restore_connection(ch, a.cookie);
  Session& s = *ch.session;
  const bool must_load = s.persistent() && s.first_seq <= s.sent_seq;
  if (must_load) stall(ch);  // acknowledgements must find what is in flight
}

// Binds a connection to the session its cookie names, or ends it.
bool Broker::reattach(Channel& ch, const protocol::link::Attach& a, base::Instant now) {
  pb::ChannelIdentity id;
  const bool parsed = id.ParseFromString(slot(a.cookie, CookieSlot::identity));
  ch.state = Channel::State::live;
  ch.connack_sent = true;
  if (parsed) {
    ch.version = static_cast<mqtt::Version>(id.version());
    ch.receive_maximum = static_cast<std::uint16_t>(id.receive_maximum());
    ch.packet_max = id.maximum_packet_size();
    ch.alias_maximum = static_cast<std::uint16_t>(id.topic_alias_maximum());
    ch.keep_alive_s = static_cast<std::uint16_t>(id.keep_alive_s());
    ch.clean_disconnect = id.disconnected();
    ch.resend_through = id.resend_through();
    if (!id.user_name().empty()) ch.user_name = std::make_unique<std::string>(id.user_name());
  }
  const auto lost = [&] {
    ++probe_.session_lost;
    fail(ch, Reason::session_taken_over, CloseReason::session_lost);
    return false;
  };
  const bool known_version = ch.version == mqtt::Version::v311 || ch.version == mqtt::Version::v5;
  if (!parsed || !known_version || ch.receive_maximum == 0) return lost();
  Session* s = by_client(static_cast<TenantId>(id.tenant()), id.client_id());
  const bool stored = id.expiry_s() != 0;
  if (s != nullptr && s->epoch > id.epoch()) {  // DESIGN 5: a newer CONNECT owns it
    fail(ch, Reason::session_taken_over, CloseReason::taken_over);
    return false;
  }
  if (stored && (s == nullptr || s->id.value != id.session() || s->epoch != id.epoch()))
    return lost();
  if (s != nullptr && s->channel != nullptr) take_over(*s, now);
  if (!stored && s != nullptr && s->id.value != id.session()) {
    end_session(*s, now);
    s = nullptr;
  }
  if (s == nullptr) {
    if (by_id({id.session()}) != nullptr) return lost();
    s = &make_session(static_cast<TenantId>(id.tenant()), id.client_id(), {id.session()});
    s->epoch = id.epoch();
  }
  s->expiry_s = id.expiry_s();
  s->expires_at = s->will_at = base::kNever;
  s->owner_edge = options_.edge_id;
  s->owner_conn = ch.conn.packed();
  if (!s->will && id.has_will() && !ch.clean_disconnect) s->will = will_from_pb(id.will());
  bind(ch, *s);
  return true;
}

void Broker::restore_connection(Channel& ch, const Cookie& cookie) {
  Session& s = *ch.session;
  base::RecordReader sent(slot(cookie, CookieSlot::sent_seq));
  if (!sent.done()) s.sent_seq = sent.varint();
  if (s.persistent()) {
    raise_sequence(s, s.sent_seq);  // DESIGN 4: next = max(stored, cookie) + 1
  } else {
    restore_volatile(ch, s, cookie);
  }
  pb::Aliases in;
  if (in.ParseFromString(slot(cookie, CookieSlot::alias_in)) && in.entries_size() != 0) {
    ch.alias_in = std::make_unique<std::vector<std::string>>(options_.alias_maximum + 1u);
    for (const auto& e : in.entries()) {
      if (e.alias() < ch.alias_in->size()) (*ch.alias_in)[e.alias()] = e.topic();
    }
  }
  pb::Aliases out;
  if (out.ParseFromString(slot(cookie, CookieSlot::alias_out)) && out.entries_size() != 0) {
    ch.alias_out = std::make_unique<boost::unordered_flat_map<std::string, std::uint16_t>>();
    for (const auto& e : out.entries()) {
      ch.alias_out->emplace(e.topic(), static_cast<std::uint16_t>(e.alias()));
    }
  }
  pb::RetainedCursor cursor;
  if (cursor.ParseFromString(slot(cookie, CookieSlot::retained_cursor)) &&
      cursor.items_size() != 0) {
    ch.retained = std::make_unique<std::deque<RetainedItem>>();
    for (const auto& i : cursor.items()) {
      ch.retained->push_back(
          {i.filter(), SubOptions{static_cast<std::uint8_t>(i.options())}, i.id(), i.after()});
    }
  }
}

void Broker::restore_volatile(Channel& ch, Session& s, const Cookie& cookie) {
  pb::VolatileState v;
  if (!v.ParseFromString(slot(cookie, CookieSlot::volatile_state))) return;
  for (const auto& sub : v.subscriptions()) {
    add_subscription(s, sub.filter(), SubOptions{static_cast<std::uint8_t>(sub.options())},
                     sub.id());
  }
  for (const std::uint32_t id : v.received()) {
    if (!s.received)
      s.received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
    s.received->emplace(static_cast<std::uint16_t>(id), Received{.effective = true});
    ++ch.unacked_in;
  }
  s.first_seq = std::max<std::uint64_t>(v.first_seq(), 1);
  Outbox& o = outbox(s);
  base::RecordReader runs(v.outgoing());
  while (!runs.done() && runs.ok()) {  // runs of (state, qos), see encode_cookie
    const std::uint8_t b = runs.byte();
    const std::uint64_t n = runs.varint();
    for (std::uint64_t i = 0; i < n && o.ring.size() < 65535; ++i) {
      OutEntry e;
      e.state = static_cast<EntryState>(b & 3);
      e.qos = (b >> 4) & 3;
      e.stored = (b & 8) != 0;
      o.inflight += e.state == EntryState::sent || e.state == EntryState::released;
      o.ring.push_back(std::move(e));
    }
  }
  s.last_seq = std::max(s.sent_seq, s.first_seq + o.ring.size() - 1);
  s.durable_seq = s.last_seq;
  const auto q = orphan_queues_.find(s.id.value);
  if (q == orphan_queues_.end()) return;
  const std::uint64_t first = s.first_seq;
  adopt_queue(s, q->second.first, q->second.second);
  s.first_seq = first;
  queued_now_ += s.queued;
  queued_bytes_now_ += s.queued_bytes;
  orphan_queues_.erase(q);
}

// Without a cookie all up to sent_max may have been sent; a CONNECT that will be replayed has sent
// nothing yet.
void Broker::settle_sequence(Session& s) {
  const Channel* owner =
      s.owner_edge == options_.edge_id ? find(base::ConnId::from_packed(s.owner_conn)) : nullptr;
  const bool replay = owner != nullptr && owner->state == Channel::State::awaiting_connect;
  raise_sequence(s, replay ? s.sent_before : s.sent_max);
}

// All connections are known: routes stand, inputs may run. Sessions that nobody holds any more go
// offline; wills of devices that only our own end cut off get a grace.
void Broker::attached_all(base::Instant now) {
  started_at_ = now;
  for (const auto& [id, owned] : by_id_) {
    Session& s = *owned;
    if (s.channel != nullptr) continue;
    settle_sequence(s);
    if (s.persistent() && s.expires_at == base::kNever && s.expiry_s != mqtt::kNoExpiry) {
      s.expires_at = now.plus_s(s.expiry_s);
    }
    if (s.will && s.will_at == base::kNever) {
      ++probe_.wills_suppressed;
      s.will_at = now.plus_s(std::max(s.will->delay_s, options_.restart_grace_s));
    }
    const base::Instant due = s.persistent() || s.will ? std::min(s.expires_at, s.will_at) : now;
    if (due != base::kNever) schedule(s, due);
    if (s.will_at != base::kNever && s.will_at != due) schedule(s, s.will_at);
    if (s.expires_at != base::kNever && s.expires_at != due) schedule(s, s.expires_at);
  }
  for (const auto& [id, extent] : orphan_queues_) {
    write({.kind = WriteKind::delete_session, .session = {id}});
  }
  for (const auto& [conn, list] : orphan_applied_) {
    for (const auto& [offset, outcome] : list) {
      std::string key;
      base::put_key64(key, options_.edge_id);
      base::put_key64(key, conn);
      base::put_key64(key, offset);
      write({.kind = WriteKind::remove_applied, .key = key});
    }
  }
  for (const std::string& key : foreign_applied_) {
    write({.kind = WriteKind::remove_applied, .key = key});
  }
  for (auto& [intent, will] : due_wills_) publish_will(intent, std::move(will), now);
  orphan_queues_ = {};
  orphan_applied_ = {};
  foreign_applied_ = {};
  due_wills_.clear();
  for (const auto& ch : channels_) {
    if (!ch || !ch->live() || ch->session == nullptr) continue;
    if (ch->stalled) {
      request_load(*ch->session);
    } else {
      pump(*ch->session, now);
    }
  }
}

// -- to the edge

std::string Broker::encode_cookie(Channel& ch, CookieSlot which) {
  Session& s = *ch.session;
  switch (which) {
    case CookieSlot::identity: {
      pb::ChannelIdentity id;
      id.set_session(s.id.value);
      id.set_tenant(s.tenant);
      id.set_client_id(s.client_id);
      id.set_epoch(s.epoch);
      id.set_version(static_cast<std::uint32_t>(ch.version));
      id.set_keep_alive_s(ch.keep_alive_s);
      id.set_expiry_s(s.expiry_s);
      id.set_receive_maximum(ch.receive_maximum);
      id.set_maximum_packet_size(ch.packet_max);
      id.set_topic_alias_maximum(ch.alias_maximum);
      id.set_disconnected(ch.clean_disconnect);
      id.set_resend_through(ch.resend_through);
      if (ch.user_name) id.set_user_name(*ch.user_name);
      if (s.will && !s.stored) will_to_pb(*s.will, *id.mutable_will());
      return id.SerializeAsString();
    }
    case CookieSlot::sent_seq: {
      std::string out;
      base::put_varint(out, s.sent_seq);
      return out;
    }
    case CookieSlot::alias_in: {
      pb::Aliases a;
      for (std::size_t i = 1; ch.alias_in && i < ch.alias_in->size(); ++i) {
        if ((*ch.alias_in)[i].empty()) continue;
        auto& e = *a.add_entries();
        e.set_alias(static_cast<std::uint32_t>(i));
        e.set_topic((*ch.alias_in)[i]);
      }
      return a.SerializeAsString();
    }
    case CookieSlot::alias_out: {
      pb::Aliases a;
      if (ch.alias_out) {
        for (const auto& [topic, alias] : *ch.alias_out) {
          auto& e = *a.add_entries();
          e.set_alias(alias);
          e.set_topic(topic);
        }
      }
      return a.SerializeAsString();
    }
    case CookieSlot::volatile_state:
      return encode_volatile(s);
    case CookieSlot::retained_cursor: {
      pb::RetainedCursor c;
      if (ch.retained) {
        for (const RetainedItem& i : *ch.retained) {
          auto& out = *c.add_items();
          out.set_filter(i.filter);
          out.set_options(i.options.raw);
          out.set_id(i.id);
          out.set_after(i.after);
        }
      }
      return c.SerializeAsString();
    }
    case CookieSlot::count:
      break;
  }
  return {};
}

// `outgoing` := (state:2 stored:1<<3 qos:2<<4, run:varint)*; only what was sent on this connection:
// the rest is either in the store or was never promised to anybody.
std::string Broker::encode_volatile(Session& s) {
  pb::VolatileState v;
  for (const Subscription& sub : s.subscriptions) {
    auto& out = *v.add_subscriptions();
    out.set_filter(raw_filter(tenant(s.tenant).router, sub));
    out.set_options(sub.options.raw);
    out.set_id(sub.id);
  }
  if (s.received) {
    for (const auto& [id, r] : *s.received) {
      if (r.effective) v.add_received(id);
    }
  }
  v.set_first_seq(s.first_seq);
  std::string runs;
  int last = -1;
  std::uint64_t n = 0;
  const auto flush = [&] {
    if (n == 0) return;
    runs.push_back(static_cast<char>(last));
    base::put_varint(runs, n);
  };
  for (std::uint64_t seq = s.first_seq; s.outbox && seq <= s.sent_seq; ++seq) {
    const OutEntry* e = entry_at(s, seq);
    if (e == nullptr) break;
    const int b = static_cast<int>(e->state) | (e->stored ? 8 : 0) | (e->qos << 4);
    if (b != last) {
      flush();
      last = b;
      n = 0;
    }
    ++n;
  }
  flush();
  v.set_outgoing(runs);
  v.set_spilled(s.queued != 0);
  return v.SerializeAsString();
}

}  // namespace berth::session
