#include "session/restorer.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "session/entry_codec.h"
#include "session/events.h"
#include "session/peer_tag.h"
#include "session/principal_key.h"
#include "session/record_codec.h"
#include "session/records.pb.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::Cookie;
using protocol::link::CookieSlot;

namespace {

const std::string& slot(const Cookie& c, CookieSlot s) {
  return c[static_cast<std::size_t>(s)];
}

// The two slots that hold it are one message in two parts.
bool volatile_from(const Cookie& c, pb::VolatileState& v) {
  return v.ParseFromString(slot(c, CookieSlot::volatile_state)) &&
         v.MergeFromString(slot(c, CookieSlot::subscriptions));
}

// An anonymous session's is for its address, where the record says it.
std::string principal_of_record(const pb::Session& r, std::string_view key) {
  const std::string_view principal = principal_of(key);
  if (!principal.empty()) return std::string(principal);
  base::Address from;
  if (r.address().size() == from.bytes.size())
    std::copy(r.address().begin(), r.address().end(), from.bytes.begin());
  return address_key(from);
}

// `seq` was sent, so it is durable. What is queued above it need not be: in an engine that outlives
// a link it may still wait for its commit, and a read of the store would not find it.
void raise_sequence(Session& s, std::uint64_t seq) {
  if (seq == 0) return;
  Flow& q = s.own_flow();
  if (q.first_seq > q.last_seq) q.first_seq = std::max(q.first_seq, seq + 1);  // nothing is queued
  q.last_seq = std::max(q.last_seq, seq);
  q.durable_seq = std::max(q.durable_seq, seq);
}

// Gaps are known, so the number of entries is. Of their bytes: those that the queue had when the
// record was written, and what came since.
void leave_out_gaps(Flow& q) {
  Slots& known = *q.slots;
  std::erase_if(known.newest,
                [&q](const Slot& x) { return x.seq < q.first_seq || x.seq > q.last_seq; });
  std::uint64_t gone = 0;
  for (const auto& [from, through] : known.gaps) {
    if (from > q.first_seq && through < q.last_seq) gone += through - from + 1;
  }
  const auto since = [](std::uint64_t now, std::uint64_t then) {
    return now - std::min(now, then);
  };
  const std::uint64_t most = known.queued + since(q.last_seq, known.last_seq);
  q.queued = static_cast<std::uint32_t>(
      std::min(q.queued - std::min<std::uint64_t>(gone, q.queued), most));
  q.queued_bytes = std::min(q.queued_bytes,
                            known.queued_bytes + since(q.cumulative_bytes, known.cumulative_bytes));
}

void adopt_queue(Session& s, const StoredEntry& first, const StoredEntry& last) {
  Flow& q = s.own_flow();
  const auto a = decode_entry(first.value);
  const auto b = decode_entry(last.value);
  q.first_seq = first.seq;
  q.last_seq = std::max(q.last_seq, last.seq);
  q.durable_seq = q.last_seq;
  q.queued = static_cast<std::uint32_t>(last.seq - first.seq + 1);
  if (b) q.cumulative_bytes = b->cumulative;
  if (a && b) {
    const std::uint64_t one =
        a->released ? first.value.size() : bytes_of_entry(a->message, a->ids.size());
    q.queued_bytes = b->cumulative - std::min(a->cumulative, b->cumulative) + one;
  }
  if (q.slots) leave_out_gaps(q);
}

}  // namespace

void Restorer::expect_sessions(std::size_t count) {
  sessions_.expect(count);
}

void Restorer::session(base::SessionId id, std::string_view record) {
  pb::Session r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  const std::string key = key_of_record(r);
  if (sessions_.by_client(key) != nullptr) return;
  Session& s = sessions_.make(key, id);
  sessions_.hold(s, principal_of_record(r, key));
  s.keeps_filters = s.filters_stored = r.keeps_filters();
  sessions_.join_account(s, r.site());
  s.epoch = r.epoch();
  s.expiry_s = r.expiry_s();
  s.ends_offline = r.ends_offline();
  if (r.expires_at_ms() != 0) s.expires_at = {r.expires_at_ms()};
  s.owner_edge = r.owner_edge();
  s.owner_conn = r.owner_conn();
  s.session_present = r.session_present();
  if (r.sent_max() != 0) {
    s.own_flow().sent_max = r.sent_max();
    s.own_flow().sent_before = r.sent_before();
    s.own_flow().sent_surely = r.has_sent_surely() ? r.sent_surely() : r.sent_before();
  }
  if (!r.slots().empty()) s.own_flow().slots = decode_slots(r.slots());
  s.stored = true;
  if (r.has_will()) {
    s.will = will_from_pb(r.will());
    sessions_.hold_will(*s.will, s);
    if (r.will_at_ms() != 0) s.will->at = {r.will_at_ms()};
    s.will->ours = r.will_is_ours();
  }
  s.shared = r.shared();
  if (handover_.restore(s, r)) return;
  for (const pb::Subscription& sub : r.subscriptions()) {
    subscriptions_.add(s, sub.filter(), SubOptions{static_cast<std::uint8_t>(sub.options())},
                       sub.id());
  }
}

void Restorer::queue(base::SessionId id, const StoredEntry& first, const StoredEntry& last) {
  Session* s = sessions_.by_id(id);
  if (s == nullptr) {
    orphan_queues_.emplace(id.value, std::pair(first, last));
    sessions_.skip_id(id);
    return;
  }
  adopt_queue(*s, first, last);
  sessions_.count_entries(s->flow().queued);
  sessions_.count_queue(*s, static_cast<std::int64_t>(s->flow().queued_bytes));
}

void Restorer::received(base::SessionId id, std::uint16_t packet_id, std::string_view value) {
  Session* s = sessions_.by_id(id);
  if (s == nullptr) return;
  base::RecordReader r(value);
  Received from;
  from.conn = r.varint();
  from.offset = r.varint();
  from.edge = r.varint();
  from.stored = true;
  if (!s->received)
    s->received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
  s->received->insert_or_assign(packet_id, from);
}

void Restorer::retained(std::string_view key, std::string_view value) {
  const auto m = decode_retained(value);
  if (key.empty() || !m) return;
  retained_delivery_.see_stamp(m->stamp);
  if (m->payload.empty()) {
    retained_.remove(m->topic, m->stamp, static_cast<std::int64_t>(m->stamp >> 20));
  } else {
    retained_.put(m->topic, MessagePtr(*m), m->stamp);
  }
}

void Restorer::applied(std::string_view key, std::string_view value) {
  using Kind = MetaKey::Kind;
  const MetaKey k = parse_meta_key(key);
  switch (k.kind) {
    case Kind::clock:
      stored_clock_ = value;
      break;
    case Kind::peer_route:
    case Kind::peer_seen:
      restore_peer_record(k, key, value);
      break;
    case Kind::edge:
      replay_.stored_edges().insert(k.number);
      break;
    case Kind::will_intent:
      if (auto w = decode_will(value)) wills_.restore(key, std::move(w));
      wills_.see_intent(k.number);
      break;
    case Kind::outcome:
      replay_.orphans()[k.conn].emplace_back(k.number, std::string(value));
      break;
    case Kind::unknown:
      break;
  }
}

void Restorer::forget(base::SessionId id) {
  orphan_queues_.erase(id.value);
  estates_.erase(id);
  Session* s = sessions_.by_id(id);
  if (s == nullptr) return;
  subscriptions_.drop_all(*s);
  sessions_.erase(*s);
}

void Restorer::forget_retained(std::string_view key) {
  retained_.forget(key);
}

void Restorer::forget_applied(std::string_view key) {
  using Kind = MetaKey::Kind;
  const MetaKey k = parse_meta_key(key);
  if (k.kind == Kind::peer_route) peer_queues_.stored_routes().erase(std::string(key));
  if (k.kind == Kind::edge) replay_.stored_edges().erase(k.number);
  if (k.kind == Kind::will_intent) wills_.forget(key);
  if (k.kind != Kind::outcome) return;
  const auto it = replay_.orphans().find(k.conn);
  if (it == replay_.orphans().end()) return;
  std::erase_if(it->second, [&](const auto& known) { return known.first == k.number; });
}

// A record of the last release does not say whose it is, where user names are proven.
std::string Restorer::key_of_record(const pb::Session& r) const {
  const bool says = r.keyed() || !principal_of(r.client_id()).empty() ||
                    (partitioned() && peer_of_client(r.client_id()) != 0);
  if (says || !options_.users_proven) return r.client_id();
  return std::string(kUnownedKey).append(r.client_id());
}

// The same of a connection: its cookie has the user name.
std::string Restorer::key_of_cookie(Channel& ch, const pb::ChannelIdentity& id) {
  const std::string_view principal = principal_of(id.client_id());
  ch.user_proven = !ch.scope && !principal.empty();
  if (id.keyed() || ch.scope || !options_.users_proven) return id.client_id();
  const std::string unowned = std::string(kUnownedKey).append(id.client_id());
  ch.user_proven = ch.user_name != nullptr;
  const std::string key = session_key(ch, id.client_id());
  Session* s = sessions_.by_client(unowned);
  if (s != nullptr && sessions_.by_client(key) == nullptr) sessions_.rename(*s, key);
  cookies_.changed(ch, CookieSlot::identity);
  return key;
}

void Restorer::restore_peer_record(const MetaKey& k, std::string_view key, std::string_view value) {
  const std::uint64_t number = base::RecordReader(value).varint();
  if (k.kind == MetaKey::Kind::peer_route) {
    peer_queues_.stored_routes().insert_or_assign(std::string(key),
                                                  static_cast<std::uint32_t>(number));
  } else {
    peer_intake_.restore(k.number, number);
  }
}

void Restorer::attach(const protocol::link::Attach& a, base::Instant now) {
  const WorksFor scope = works_for(a.conn);
  Channel& ch = connections_.make(a.conn);
  ch.in_off = ch.edge_in_ack = a.in_ack;
  ch.replay_end = options_.replay ? a.in_end : 0;
  ch.loopback = a.loopback;
  ch.address = a.peer;
  ch.peer_port = a.peer_port;
  ch.port = &ports_.mqtt;  // until its first byte says otherwise
  life_.use_fair_key(ch);
  ch.gone = a.ended;
  if (!a.connected)
    ch.newcomer = std::make_unique<Newcomer>(Newcomer{a.peer, a.certificate, a.authorities});
  const EdgeConn from{connections_.edge_of(a.conn), a.conn.local().packed()};
  if (const auto it = replay_.orphans().find(from); it != replay_.orphans().end()) {
    ch.applied = std::make_unique<AppliedList>(std::move(it->second));
    replay_.orphans().erase(it);
  }
  if (!a.connected) return;
  if (!reattach(ch, a, now)) return;
  ++probe_.session_reattached;
  restore_connection(ch, a.cookie);
  Session& s = *ch.session;
  if (subscriptions_.review_resumed(ch)) {
    if (subscriptions_.keeps_filters(s)) records_.put(s);
    if (!s.persistent()) subscriptions_.changed(ch);
  }
  const bool must_load = s.persistent() && s.flow().first_seq <= s.flow().sent_seq;
  if (must_load) stall(ch);  // acknowledgements must find what is in flight
}

// What stays as it is while the connection lives.
void Restorer::restore_identity(Channel& ch, const pb::ChannelIdentity& id) {
  ch.receive_maximum = static_cast<std::uint16_t>(id.receive_maximum());
  ch.packet_max = id.maximum_packet_size();
  ch.alias_maximum = static_cast<std::uint16_t>(id.topic_alias_maximum());
  ch.keep_alive_s = static_cast<std::uint16_t>(id.keep_alive_s());
  ch.clean_disconnect = id.disconnected();
  ch.resend_through = id.resend_through();
  if (!id.user_name().empty()) ch.user_name = std::make_unique<std::string>(id.user_name());
  if (id.has_scope()) ch.scope = scope_from_pb(id.scope());
  if (!id.credential().empty())
    ch.credential = std::make_unique<CredentialUse>(CredentialUse{id.credential()});
  ports_.of(static_cast<std::uint8_t>(id.version()))
      .restore(ch, static_cast<std::uint8_t>(id.version()),
               static_cast<std::uint8_t>(id.park_flags()), client_id_of(id.client_id()));
  if (id.address().size() == ch.address.bytes.size())
    std::copy(id.address().begin(), id.address().end(), ch.address.bytes.begin());
}

// Binds a connection to the session its cookie names, or ends it.
bool Restorer::reattach(Channel& ch, const protocol::link::Attach& a, base::Instant now) {
  pb::ChannelIdentity id;
  const bool parsed = id.ParseFromString(slot(a.cookie, CookieSlot::identity));
  ch.state = Channel::State::live;
  ch.connack_sent = true;
  if (parsed) restore_identity(ch, id);
  const auto keep_name = [&] {  // for the log: it gets no session
    ch.connect = std::make_unique<PendingConnect>();
    ch.connect->client_id = id.client_id();
  };
  const auto lost = [&] {
    ++probe_.session_lost;
    keep_name();
    clients_.fail(ch, Reason::session_taken_over, CloseReason::session_lost);
    return false;
  };
  const bool known_version = ch.version == mqtt::Version::v311 || ch.version == mqtt::Version::v5;
  if (!parsed || !known_version || ch.receive_maximum == 0) return lost();
  const std::string key = key_of_cookie(ch, id);
  Session* s = sessions_.by_client(key);
  const bool stored = id.expiry_s() != 0;
  // I5: a newer CONNECT owns it. Two of one millisecond have one epoch: the ended one is older.
  const bool same_time = s != nullptr && s->epoch == id.epoch() && s->id.value != id.session();
  if (s != nullptr && (s->epoch > id.epoch() || (same_time && ch.gone))) {
    keep_name();
    events::taken_over(ch, nullptr);
    clients_.fail(ch, Reason::session_taken_over, CloseReason::taken_over);
    return false;
  }
  if (stored && (s == nullptr || s->id.value != id.session() || s->epoch != id.epoch()))
    return lost();
  if (s != nullptr && s->channel != nullptr) life_.take_over(*s, ch, now);
  pb::VolatileState v;
  if (!stored && volatile_from(a.cookie, v)) {
    const bool subscribed = v.subscriptions_size() != 0 || v.filters_stored();
    const bool known = s != nullptr && s->limbo;
    if (subscribed && !known && !connections_.edges()[ch.conn.link()].trusted)
      return lost();  // it may have missed messages that were acknowledged
    if (v.filters_stored() && (s == nullptr || !s->keeps_filters)) return lost();
  }
  if (!stored && s != nullptr && s->id.value != id.session()) {
    life_.end_session(*s, WillOf::dropped, now);
    s = nullptr;
  }
  if (s == nullptr) {
    if (sessions_.by_id({id.session()}) != nullptr) return lost();
    s = &sessions_.make(key, {id.session()});
    sessions_.hold(*s, principal_key(ch));
    s->epoch = id.epoch();
  }
  if (std::exchange(s->limbo, false) && !stored) {  // what counts is in the cookie
    if (!s->keeps_filters) subscriptions_.drop_all(*s);
    s->received.reset();
  }
  s->expiry_s = id.expiry_s();
  s->ends_offline = id.ends_offline();
  s->expires_at = base::kNever;
  if (s->will) {
    s->will->at = base::kNever;
    s->will->ours = false;
  }
  s->owner_edge = connections_.edge_of(ch.conn);
  s->owner_conn = ch.conn.local().packed();
  if (!s->will && id.has_will() && !ch.clean_disconnect) {
    s->will = will_from_pb(id.will());
    sessions_.hold_will(*s->will, *s);
  }
  life_.bind(ch, *s);
  life_.use_fair_key(ch);
  return true;
}

void Restorer::restore_connection(Channel& ch, const Cookie& cookie) {
  Session& s = *ch.session;
  base::RecordReader sent(slot(cookie, CookieSlot::sent_seq));
  const std::uint64_t seq = sent.done() ? 0 : sent.varint();
  if (seq != 0 || s.flow_) s.own_flow().sent_seq = seq;
  if (s.persistent()) {
    raise_sequence(s, s.flow().sent_seq);  // next = max(stored, cookie) + 1
    if (s.flow_) s.flow_->sent_seq = std::max(s.flow_->sent_seq, s.flow_->first_seq - 1);
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
  if (!ch.gone && cursor.ParseFromString(slot(cookie, CookieSlot::retained_cursor)) &&
      cursor.items_size() != 0) {
    ch.retained = std::make_unique<std::deque<RetainedItem>>();
    for (const auto& i : cursor.items()) {
      ch.retained->push_back(
          {i.filter(), SubOptions{static_cast<std::uint8_t>(i.options())}, i.id(), i.after()});
    }
  }
}

void Restorer::restore_volatile(Channel& ch, Session& s, const Cookie& cookie) {
  pb::VolatileState v;
  if (!volatile_from(cookie, v)) return;
  if (slot(cookie, CookieSlot::subscriptions).empty()) {  // of the last release, in one slot
    cookies_.changed(ch, CookieSlot::volatile_state);
    subscriptions_.changed(ch);
  }
  // What its record has is newer: an engine died between the commit and the cookie that says so.
  if (s.keeps_filters && v.subscriptions_size() != 0) subscriptions_.changed(ch);
  for (const auto& sub : v.subscriptions()) {
    if (s.keeps_filters) break;
    subscriptions_.add(s, sub.filter(), SubOptions{static_cast<std::uint8_t>(sub.options())},
                       sub.id());
  }
  for (const std::uint32_t id : v.received()) {
    if (!s.received)
      s.received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
    s.received->emplace(static_cast<std::uint16_t>(id), Received{.effective = true});
    ++ch.unacked_in;
  }
  s.shared = s.shared || v.shared();
  Flow& q = s.own_flow();
  q.first_seq = std::max<std::uint64_t>(v.first_seq(), 1);
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
  const std::uint64_t known = std::max(q.sent_seq, q.first_seq + o.ring.size() - 1);
  if (q.queued == 0) q.last_seq = q.durable_seq = known;  // what else had a number is nowhere
  q.last_seq = std::max(q.last_seq, known);
  q.durable_seq = std::max(q.durable_seq, known);
  const auto found = orphan_queues_.find(s.id.value);
  if (found == orphan_queues_.end()) return;
  const std::uint64_t first = q.first_seq;
  adopt_queue(s, found->second.first, found->second.second);
  q.first_seq = first;
  sessions_.count_entries(q.queued);
  sessions_.count_queue(s, static_cast<std::int64_t>(q.queued_bytes));
  orphan_queues_.erase(found);
}

// Without a cookie all up to sent_max may have been sent; a CONNECT that will be replayed has sent
// nothing yet, and its connection has not ended.
void Restorer::settle_sequence(Session& s) {
  const Channel* owner = connections_.find(connections_.conn_of(s.owner_edge, s.owner_conn));
  const bool replay = owner != nullptr && owner->state == Channel::State::awaiting_connect;
  raise_sequence(s, replay ? s.flow().sent_before : s.flow().sent_max);
  if (replay || !s.ends_offline) return;
  s.end_stay();
  if (s.will) subscriptions_.drop_all(s);  // it stays for the will's grace only
}

// All connections are known: routes stand, inputs may run. Sessions that nobody holds any more go
// offline; wills of devices that only our own end cut off get a grace.
void Restorer::attached_all(base::Instant now) {
  latest_ = now;
  edge_links_.begin_serving();
  peer_queues_.restore_routes();
  for (Session* const each : sessions_.all()) {
    Session& s = *each;
    if (s.flow().slots && s.flow().queued == 0) s.own_flow().slots->newest.clear();
    if (s.channel != nullptr || s.limbo || estates_.has(s.id)) continue;
    settle_sequence(s);
    if (s.persistent() && s.expires_at == base::kNever && s.expiry_s != mqtt::kNoExpiry) {
      s.expires_at = now.plus_s(s.expiry_s);
    }
    if (s.will && s.will->at == base::kNever) wills_.settle(s, EndBy::us, now);
    const base::Instant due = s.persistent() || s.will ? std::min(s.expires_at, s.will_at()) : now;
    if (due != base::kNever) life_.schedule(s, due);
    if (s.will_at() != base::kNever && s.will_at() != due) life_.schedule(s, s.will_at());
    if (s.expires_at != base::kNever && s.expires_at != due) life_.schedule(s, s.expires_at);
  }
  for (const auto& [id, extent] : orphan_queues_) {
    commits_.write({.kind = WriteKind::delete_session, .session = {id}});
  }
  for (const auto& [conn, list] : replay_.orphans()) replay_.remove_applied(conn, list);
  for (const std::uint64_t edge : replay_.stored_edges()) {
    commits_.write({.kind = WriteKind::remove_applied, .key = edge_key(edge)});
  }
  replay_.stored_edges() = {};
  orphan_queues_ = {};
  replay_.orphans() = {};
  handover_.read_again();
  for (Edge& e : connections_.edges()) e.trusted = false;
  connections_.for_each([&](Channel& ch) { queues_.wake(ch, now); });
}

}  // namespace berth::session
