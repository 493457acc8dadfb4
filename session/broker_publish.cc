// PUBLISH from a device or from ourselves: who gets it, and what must be durable first.
#include <algorithm>

#include "session/broker.h"
#include "session/entry_codec.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::PacketType;
using mqtt::Property;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

PacketType reply_type(std::uint8_t qos) {
  return qos == 1 ? PacketType::puback : qos == 2 ? PacketType::pubrec : PacketType{};
}

}  // namespace

bool Broker::on_publish(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  mqtt::PublishView p;
  const Reason e = mqtt::decode_publish(f, ch.version, scratch_, p);
  if (e != Reason::success) {
    fail(ch, e, CloseReason::protocol_error);
    return true;
  }
  if (p.qos != 0 && ch.unacked_in >= options_.receive_maximum) {
    if (!ch.v5() && gated(ch)) {  // 3.1.1 knows no Receive Maximum: slow the device down
      stall(ch);
      return false;
    }
    fail(ch, Reason::receive_maximum_exceeded, CloseReason::protocol_error);
    return true;
  }
  if (p.properties.has(Property::topic_alias)) {
    if (gated(ch)) {
      stall(ch);
      return false;
    }
    if (!resolve_alias(ch, p)) return true;
  }
  const bool heard = !ch.scope || !ch.scope->translates() || translate(ch, p, now);
  const Metered m = meter(ch, p, now);
  if (m.what == Metered::wait) return false;
  probe_.rx_qos0 += p.qos == 0;
  probe_.rx_qos1 += p.qos == 1;
  probe_.rx_qos2 += p.qos == 2;
  if (m.what == Metered::refuse) return refuse_publish(ch, p, Reason::quota_exceeded, m.quota);
  const std::string_view said = p.topic;
  if (!heard || enter_topic(ch, p.topic, p.topic)) {
    address_command(ch, said, p, now);
    accept_publish(ch, p, p.packet_id, now);
    return true;
  }
  ++probe_.authz_denied;
  ++probe_.drop_not_authorized;
  return refuse_publish(ch, p, Reason::not_authorized, Quota::none);
}

// 3.1.1 has no way to refuse: acknowledge and drop. A refused QoS 2 PUBLISH ends with its PUBREC.
bool Broker::refuse_publish(Channel& ch, const mqtt::PublishView& p, Reason reason, Quota quota) {
  if (p.qos != 0) ++ch.unacked_in;
  const Reason r = ch.v5() ? reason : Reason::success;
  if (p.qos == 2 && ch.v5()) --ch.unacked_in;
  if (gated(ch)) {
    defer(ch,
          {.reply_type = reply_type(p.qos), .reason = r, .packet_id = p.packet_id, .quota = quota});
  } else if (p.qos != 0) {
    reply(ch, reply_type(p.qos), p.packet_id, r, quota);
  }
  return true;
}

bool Broker::resolve_alias(Channel& ch, mqtt::PublishView& p) {
  const std::uint16_t alias = p.properties.topic_alias;
  if (alias == 0 || alias > options_.alias_maximum) {
    fail(ch, Reason::topic_alias_invalid, CloseReason::protocol_error);  // 3.3.2-8
    return false;
  }
  if (!ch.alias_in) {
    ch.alias_in = std::make_unique<std::vector<std::string>>(options_.alias_maximum + 1u);
  }
  std::string& known = (*ch.alias_in)[alias];
  if (p.topic.empty()) {
    if (known.empty()) {
      fail(ch, Reason::protocol_error, CloseReason::protocol_error);
      return false;
    }
    p.topic = known;
  } else if (known != p.topic) {
    known = p.topic;
    dirty(ch, CookieSlot::alias_in);
  }
  return true;
}

// A device's message becomes what its platform is to get; what it may not say stays as it is and is
// refused. False: nobody is to get it.
bool Broker::translate(Channel& ch, mqtt::PublishView& p, base::Instant now) {
  using What = DeviceMessages::What;
  static constexpr std::string_view kNobody = "$tenant//";  // that nobody can subscribe to
  if (messages_ == nullptr || ch.scope->who().role != Role::device ||
      !ch.scope->enter_topic(p.topic, entered_))
    return true;
  const What what =
      messages_->translate(*ch.scope, ch.session->epoch, now, p.topic, p.payload, translated_);
  if (what == What::as_is) return true;
  ++(what == What::raw ? probe_.untranslated : probe_.translated);
  if (what == What::swallowed) {
    p.topic = kNobody;
    p.retain = false;
    return false;
  }
  p.topic = translated_.topic;
  p.payload = translated_.payload;
  p.properties.forwarded = envelope_properties(ch.scope->translation().format);
  return true;
}

// A service's command goes where its device's vendor has it, if the product says so.
void Broker::address_command(Channel& ch, std::string_view said, mqtt::PublishView& p,
                             base::Instant now) {
  if (messages_ == nullptr || !ch.scope || ch.scope->who().role != Role::service ||
      !is_command(said))
    return;
  if (!messages_->command(*ch.scope, now, said, p.payload, translated_)) return;
  p.topic = translated_.topic;
  p.payload = translated_.payload;
  p.properties.forwarded = {};
  p.retain = false;
}

// Must this message enter the store for any receiver before anybody may see it?
bool Broker::needs_staging(const Match& m, const Delivery& d) {
  if (d.message.qos == 0) return false;
  const auto stored = [&](Session& s, SubOptions o) {
    return o.qos() != 0 && (s.persistent() || must_spill(s, d));
  };
  for (const Target& t : m.targets) {
    if (stored(*t.session, t.options)) return true;
  }
  for (const SharedGroup* g : m.groups) {
    for (const auto& member : g->members) {
      if (stored(*member.session, member.options)) return true;
    }
  }
  return false;
}

bool Broker::crosses(const Session& s, const Delivery& d) const {
  return options_.replay && d.origin != base::kNoConn && s.channel != nullptr &&
         s.channel->conn.link() != d.origin.link();
}

// An expiry-0 session whose copy can't leave in one frame with the acknowledgement: if the engine
// died now it would be lost or doubled.
bool Broker::must_spill(Session& s, const Delivery& d) {
  if (!options_.replay || s.persistent()) return false;
  if (s.limbo) return true;
  if (s.channel == nullptr || !s.channel->live()) return false;
  const bool apart =
      d.origin == base::kNoConn || crosses(s, d);  // from the acknowledgement's frame
  return apart || !can_send_at_once(s);
}

// False: the same QoS 2 message again (4.3.3-10), answered here. `fresh` is cleared for one that a
// dead engine has committed.
bool Broker::admit_qos2(Channel& ch, std::uint16_t packet_id, bool& fresh) {
  Session& s = *ch.session;
  if (!s.received) {
    s.received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
  }
  const auto [it, inserted] = s.received->try_emplace(
      packet_id,
      Received{.edge = edge_of(ch.conn), .conn = ch.conn.local().packed(), .offset = ch.in_off});
  const Received& r = it->second;
  const bool replayed = !inserted && !r.effective && r.edge == edge_of(ch.conn) &&
                        r.conn == ch.conn.local().packed() && r.offset == ch.in_off &&
                        ch.in_off <= ch.replay_end;
  if (!inserted && !replayed) {
    defer_or_reply(ch, {.reply_type = PacketType::pubrec, .packet_id = packet_id});
    return false;
  }
  if (replayed) ++probe_.applied_replays;
  fresh = !replayed && applied_outcome(ch) == nullptr;
  return true;
}

void Broker::accept_publish(Channel& ch, const mqtt::PublishView& p, std::uint32_t id,
                            base::Instant now) {
  Session& s = *ch.session;
  Delivery d{.message = {.topic = p.topic,
                         .payload = p.payload,
                         .forwarded = p.properties.forwarded,
                         .qos = p.qos,
                         .retain = p.retain},
             .owned = {},
             .publisher = s.id,
             .origin = ch.conn};
  if (p.properties.has(Property::message_expiry)) {
    d.message.expires_at = now.plus_s(p.properties.message_expiry_s);
  }
  bool fresh = true;  // false: a dead engine has already stored it for the sessions with a queue
  const bool must_stage = gated(ch) || p.retain || (p.qos == 2 && s.persistent());
  if (p.qos == 2 && !admit_qos2(ch, p.packet_id, fresh)) return;
  if (p.qos != 0) ++ch.unacked_in;
  const Match& m = router_.match(p.topic);
  if (m.empty()) ++probe_.drop_no_subscribers;
  Deferred reply_to{
      .kind = Deferred::Kind::publish,
      .reply_type = reply_type(p.qos),
      .reason = m.empty() && ch.v5() ? Reason::no_matching_subscribers : Reason::success,
      .packet_id = id,
      .conn = {},
      .in_off = 0,
      .message = {},
      .publisher = s.id,
      .picks = {},
      .spilled = {},
      .call = {}};
  if (!must_stage && !needs_staging(m, d)) {
    deliver_now(m, d, nullptr, now);
    if (p.qos != 0) reply(ch, reply_to.reply_type, id, reply_to.reason);
    return;
  }
  if (p.retain && fresh) reply_to.stamp = d.message.stamp = next_stamp(now);
  reply_to.message = d.own();
  const std::size_t before = writes();
  if (!fresh) reply_to.spilled = spilled_before(ch);
  stage_durable(m, d, reply_to, fresh);
  if (p.retain && fresh) store_retained(d.message);
  if (p.qos == 2 && s.persistent() && fresh) {
    std::string from;
    base::put_varint(from, ch.conn.local().packed());
    base::put_varint(from, ch.in_off);
    base::put_varint(from, edge_of(ch.conn));
    write({.kind = WriteKind::put_received,
           .session = s.id,
           .seq = p.packet_id,
           .epoch = s.epoch,
           .value = from});
  }
  if (p.qos == 2 && fresh && writes() != before && (!s.persistent() || !reply_to.spilled.empty())) {
    reply_to.in_off = ch.in_off;
    record_spilled(ch, reply_to);
  }
  defer_or_run(ch, std::move(reply_to), writes() != before, now);
}

// For which expiry-0 sessions a dead engine has stored this QoS 2 message.
std::vector<base::SessionId> Broker::spilled_before(const Channel& ch) const {
  std::vector<base::SessionId> ids;
  const std::string* outcome = applied_outcome(ch);
  if (outcome == nullptr || outcome->empty()) return ids;
  base::RecordReader r(std::string_view(*outcome).substr(1));
  while (!r.done() && r.ok()) ids.push_back({r.varint()});
  return ids;
}

void Broker::defer_or_reply(Channel& ch, Deferred d) {
  if (gated(ch)) return defer(ch, std::move(d));
  if (d.reply_type != PacketType{}) reply(ch, d.reply_type, d.packet_id, d.reason);
}

void Broker::defer_or_run(Channel& ch, Deferred d, bool wrote, base::Instant now) {
  if (wrote || gated(ch)) return defer(ch, std::move(d));
  ++ch.pending;
  d.conn = ch.conn;
  d.in_off = ch.in_off;
  if (!run(d, now)) open_.deferred.push_back(std::move(d));
}

// What comes from another partition is for our own sessions, and only those it names.
bool Broker::takes(const Target& t, const Delivery& d) {
  if (d.tag != nullptr && (t.session->peer != 0 || !d.plain())) return false;
  return !(t.options.no_local() && t.session->id == d.publisher);
}

// One member of a shared group: the next that is connected and can take more, else the next that
// has a queue (4.8.2). Of another partition's messages our own members come first: it has chosen
// us.
Session* Broker::pick(SharedGroup& g, const Delivery& d, SubOptions& options, std::uint32_t& id) {
  Session* fallback = nullptr;
  const bool ours = d.tag != nullptr &&
                    std::any_of(g.members.begin(), g.members.end(),
                                [](const SharedGroup::Member& m) { return m.session->peer == 0; });
  const std::size_t n = g.members.size();
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t at = (g.next + i) % n;
    const SharedGroup::Member& m = g.members[at];
    if (m.session->peer != 0 && (ours || m.session->peer == d.source)) continue;
    const Channel* ch = m.session->channel;
    const bool ready = ch != nullptr && ch->live() && !ch->waiting_room &&
                       (!m.session->outbox || m.session->outbox->inflight < ch->receive_maximum);
    const bool keeps = m.session->persistent() || m.session->limbo || ch != nullptr;
    if (!ready && (fallback != nullptr || !keeps)) continue;
    options = m.options;
    id = m.id;
    if (ready) {
      g.next = at + 1;
      return m.session;
    }
    fallback = m.session;
  }
  if (fallback != nullptr) ++g.next;
  return fallback;
}

// First phase: queue entries of sessions that have a queue, and who of each shared group gets it.
void Broker::stage_durable(const Match& m, Delivery& d, Deferred& out, bool fresh) {
  for (const Target& t : m.targets) {
    const std::uint8_t qos = std::min(d.message.qos, t.options.qos());
    if (!t.session->persistent() || !fresh || !takes(t, d)) continue;
    if (t.session->peer != 0 && kept_for_peers(d)) stage_for_peer(*t.session, d, 0, false);
    if (qos == 0 || t.session->peer != 0) continue;
    append_stored(*t.session, d, qos, d.message.retain && t.options.retain_as_published(), t.ids);
  }
  for (SharedGroup* g : m.groups) {
    if (!takes(*g, d)) continue;
    SubOptions options;
    std::uint32_t id = 0;
    Session* s = pick(*g, d, options, id);
    if (s == nullptr) continue;
    const std::uint8_t qos = std::min(d.message.qos, options.qos());
    if (s->peer != 0 && kept_for_peers(d)) {
      if (fresh) stage_for_peer(*s, d, g->route, false);
    } else if (qos == 0 || !s->persistent()) {
      out.picks.push_back(s->id);
    } else if (fresh) {
      const std::vector<std::uint32_t> ids(id != 0 ? 1 : 0, id);
      append_stored(*s, d, qos, d.message.retain && options.retain_as_published(), ids);
    }
  }
  if (fresh && d.message.retain && d.tag == nullptr && partitioned())
    stage_retained_for_peers(m, d);
  spill(m, d, out, fresh ? Phase::staging : Phase::replayed);
}

namespace {

// The member of `g` that was chosen before.
const SharedGroup::Member* chosen(const SharedGroup& g, const std::vector<base::SessionId>& picks) {
  for (const SharedGroup::Member& m : g.members) {
    if (std::find(picks.begin(), picks.end(), m.session->id) != picks.end()) return &m;
  }
  return nullptr;
}

}  // namespace

Broker::Publisher Broker::publisher_of(const Delivery& d) {
  if (Channel* ch = find(d.origin)) return {gated(*ch), &ch->staged_since};
  if (d.source == 0) return {};
  Source& from = sources_[d.source - 1u];
  return {from.pending != 0, &from.staged_since};
}

// Stores the message for those expiry-0 receivers that can't have it at once, each only once. True:
// there were some, so nobody else may have it before the commit.
//
// Order (4.6): in a receiver's queue a message is behind all that its publisher has said before. Of
// these some may still wait for their commit, not stored for this receiver because it could have
// had them at once then, or had not subscribed. Then this one waits too, and when it is run (after
// them) is stored if it must be.
bool Broker::spill(const Match& m, Delivery& d, Deferred& out, Phase phase) {
  if (!options_.replay || d.message.qos == 0) return false;
  const std::size_t before = writes();
  const Publisher p = phase == Phase::run ? Publisher{} : publisher_of(d);
  if (p.since != nullptr && !p.waits) *p.since = ++moments_;
  const auto consider = [&](Session& s, SubOptions o, const std::vector<std::uint32_t>& ids) {
    const std::uint8_t qos = std::min(d.message.qos, o.qos());
    if (qos == 0 || s.persistent()) return;
    if (std::find(out.spilled.begin(), out.spilled.end(), s.id) != out.spilled.end()) return;
    const bool behind = p.since != nullptr && p.waits && s.changed >= *p.since;
    if (behind || phase == Phase::replayed || !must_spill(s, d)) {
      if (p.since != nullptr) s.changed = moments_;
      return;
    }
    out.spilled.push_back(s.id);
    append_stored(s, d, qos, d.message.retain && o.retain_as_published(), ids);
    if (s.channel == nullptr) return;
    dirty(*s.channel, CookieSlot::volatile_state);
    if (!effects_.writable(s.channel->conn)) s.channel->waiting_room = true;
  };
  for (const Target& t : m.targets) {
    if (takes(t, d)) consider(*t.session, t.options, t.ids);
  }
  for (const SharedGroup* g : m.groups) {
    const SharedGroup::Member* member = takes(*g, d) ? chosen(*g, out.picks) : nullptr;
    if (member == nullptr) continue;
    consider(*member->session, member->options,
             std::vector<std::uint32_t>(member->id != 0 ? 1 : 0, member->id));
  }
  return writes() != before;
}

// Second phase: everybody else. `staged`: what stage_durable and spill chose; null: nothing was.
void Broker::deliver_now(const Match& m, Delivery& d, const Deferred* staged, base::Instant now) {
  head_cache_.key = -1;
  std::vector<LateCopies::To> later;
  const auto deliver = [&](Session& s, SubOptions o, const std::vector<std::uint32_t>& ids) {
    const std::uint8_t qos = std::min(d.message.qos, o.qos());
    const bool retain = d.message.retain && o.retain_as_published();
    if (qos != 0) {
      const bool had =
          staged != nullptr &&
          std::find(staged->spilled.begin(), staged->spilled.end(), s.id) != staged->spilled.end();
      if (!s.persistent() && !had) deliver_volatile(s, d, o, retain, ids, now);
      return;
    }
    Channel* ch = s.channel;
    if (ch == nullptr || !ch->live()) return;
    if (s.peer != 0 && kept_for_peers(d)) return;  // has a queue entry
    if (crosses(s, d)) {
      later.push_back({s.id, o, ids});
    } else if (effects_.writable(ch->conn)) {
      send_message(*ch, d.message, 0, retain, false, 0, &ids, now);
    } else {
      ++probe_.drop_slow_qos0;
    }
  };
  for (const Target& t : m.targets) {
    if (takes(t, d)) deliver(*t.session, t.options, t.ids);
  }
  for (SharedGroup* g : m.groups) {
    SubOptions options;
    std::uint32_t id = 0;
    Session* s = nullptr;
    if (!takes(*g, d)) continue;
    if (staged == nullptr) {
      s = pick(*g, d, options, id);
    } else if (const SharedGroup::Member* member = chosen(*g, staged->picks)) {
      s = member->session;
      options = member->options;
      id = member->id;
    }
    if (s != nullptr) deliver(*s, options, std::vector<std::uint32_t>(id != 0 ? 1 : 0, id));
  }
  if (!later.empty()) send_later(d, std::move(later));
}

// False: a newer one of another partition is known.
bool Broker::store_retained(const MessageView& m) {
  const bool stamped = m.stamp != 0;
  if (m.payload.empty() && !stamped) {
    write({.kind = WriteKind::remove_retained, .key = m.topic});
    return true;
  }
  if (!retained_.contains(m.topic) && !m.payload.empty() &&
      (retained_.size() >= options_.retained_messages_max ||
       retained_.bytes() >= options_.retained_bytes_max)) {
    return true;  // counted in keep_retained
  }
  if (stamped && !retained_.claim(m.topic, m.stamp)) return false;
  std::string value;
  encode_retained(value, m);
  write({.kind = WriteKind::put_retained, .key = m.topic, .value = value});
  return true;
}

void Broker::keep_retained(const MessageView& m, base::Instant now) {
  if (m.payload.empty()) {  // 3.3.1-6
    retained_.remove(m.topic, m.stamp, now.ms);
    return;
  }
  if (!retained_.contains(m.topic) && (retained_.size() >= options_.retained_messages_max ||
                                       retained_.bytes() >= options_.retained_bytes_max)) {
    ++probe_.drop_retained_full;
    return;
  }
  retained_.put(m.topic, MessagePtr(m), m.stamp);
}

// Wills and the like: from no connection.
void Broker::publish_internal(const MessageView& m, base::Instant now) {
  const Match& match = router_.match(m.topic);
  Delivery d{.message = m, .owned = {}, .publisher = {}};
  if (m.retain) d.message.stamp = next_stamp(now);
  if (!m.retain && !needs_staging(match, d)) {
    deliver_now(match, d, nullptr, now);
    return;
  }
  Deferred out;
  out.kind = Deferred::Kind::publish;
  out.message = d.own();
  out.stamp = d.message.stamp;
  const std::size_t before = writes();
  stage_durable(match, d, out, true);
  if (m.retain) store_retained(d.message);
  submit(std::move(out), writes() != before, now);
}

bool Broker::on_pubrel(Channel& ch, const mqtt::Frame& f) {
  mqtt::AckView a;
  const Reason e = mqtt::decode_ack(f, ch.version, a);
  if (e != Reason::success) {
    fail(ch, e, CloseReason::protocol_error);
    return true;
  }
  Session& s = *ch.session;
  const bool known = s.received && s.received->erase(a.packet_id) != 0;
  if (known && ch.unacked_in != 0) --ch.unacked_in;
  const bool replayed = ch.in_off <= ch.replay_end;
  Deferred d{.reply_type = PacketType::pubcomp,
             .reason = known || replayed || !ch.v5() ? Reason::success
                                                     : Reason::packet_identifier_not_found,
             .packet_id = a.packet_id};
  if (known && s.persistent()) {
    write({.kind = WriteKind::remove_received,
           .session = s.id,
           .seq = a.packet_id,
           .epoch = s.epoch});
    defer(ch, std::move(d));
    return true;
  }
  if (known) dirty(ch, CookieSlot::volatile_state);
  defer_or_reply(ch, std::move(d));
  return true;
}

}  // namespace berth::session
