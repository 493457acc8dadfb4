// What the store and the edge keep for us: session records and cookies, encoded (records.proto).
#include "protocol/park/frame.h"
#include "session/broker.h"
#include "session/principal_key.h"
#include "session/record_codec.h"
#include "session/records.pb.h"

namespace berth::session {

using protocol::link::CookieSlot;

namespace {
constexpr std::size_t kRunsMax = 4096;  // bytes of a cookie
}

std::string Broker::raw_filter(const Subscription& sub) {
  const std::string filter = router_.filter(sub.filter);
  return sub.shared ? "$share/" + *sub.shared + "/" + filter : filter;
}

// -- to the store

void Broker::put_record(Session& s) {
  pb::Session r;
  const bool unowned = s.client_id.starts_with(kUnownedKey);  // stays as it was found
  r.set_client_id(unowned ? std::string(client_id_of(s.client_id)) : s.client_id);
  r.set_keyed(!unowned);
  if (s.account != nullptr) r.set_site(s.account->site());
  r.set_epoch(s.epoch);
  r.set_expiry_s(s.expiry_s);
  r.set_expires_at_ms(s.channel != nullptr || s.expires_at == base::kNever ? 0 : s.expires_at.ms);
  r.set_owner_edge(s.owner_edge);
  r.set_owner_conn(s.owner_conn);
  r.set_session_present(s.session_present);
  r.set_sent_max(s.flow().sent_max);
  r.set_sent_before(s.flow().sent_before);
  r.set_sent_surely(s.flow().sent_surely);
  r.set_will_at_ms(s.will_at() == base::kNever ? 0 : s.will->at.ms);
  if (s.will) will_to_pb(*s.will, *r.mutable_will());
  r.set_will_is_ours(s.will && s.will->ours);
  r.set_keeps_filters(s.keeps_filters);
  r.set_ends_offline(s.ends_offline);
  if (s.held.holder() != nullptr && principal_of(s.client_id).empty())
    r.set_address(std::string(address_of_key(s.held.holder()->principal())));
  budget_.take(TurnBudget::kSession);
  if (s.persistent() || s.keeps_filters) {
    constexpr std::int64_t kFilterOfRecord = 4;
    budget_.take(kFilterOfRecord * static_cast<std::int64_t>(s.subscriptions.size()));
    for (const Subscription& sub : s.subscriptions) {
      auto& out = *r.add_subscriptions();
      out.set_filter(raw_filter(sub));
      out.set_options(sub.options.raw);
      out.set_id(sub.id);
    }
  }
  r.set_shared(s.shared);
  if (estates_.has(s.id)) {
    r.set_ended(true);
    for (const std::uint32_t g : estates_.at(s.id).groups) r.add_groups(g);
  }
  s.stored = true;
  const std::string value = r.SerializeAsString();
  budget_.take_bytes(value.size());
  commits_.write(
      {.kind = WriteKind::put_session, .session = s.id, .epoch = s.epoch, .value = value});
}

// -- to the edge

std::string Broker::encode_identity(Channel& ch) {
  const Session& s = *ch.session;
  pb::ChannelIdentity id;
  id.set_session(s.id.value);
  id.set_client_id(s.client_id);
  id.set_epoch(s.epoch);
  id.set_version(ch.park ? protocol::park::kLevel : static_cast<std::uint32_t>(ch.version));
  if (ch.park) id.set_park_flags(ch.park->flags);
  id.set_keep_alive_s(ch.keep_alive_s);
  id.set_expiry_s(s.expiry_s);
  id.set_ends_offline(s.ends_offline);
  id.set_receive_maximum(ch.receive_maximum);
  id.set_maximum_packet_size(ch.packet_max);
  id.set_topic_alias_maximum(ch.alias_maximum);
  id.set_disconnected(ch.clean_disconnect);
  id.set_resend_through(ch.resend_through);
  if (ch.user_name) id.set_user_name(*ch.user_name);
  id.set_keyed(true);
  if (ch.credential) id.set_credential(ch.credential->id);
  const base::Address& from = ch.address;
  if (!ch.scope && !ch.user_proven) id.set_address(from.bytes.data(), from.bytes.size());
  if (ch.scope) {
    scope_to_pb(*ch.scope, *id.mutable_scope());
  }
  if (s.will && !s.stored) will_to_pb(*s.will, *id.mutable_will());
  return id.SerializeAsString();
}

std::string Broker::encode_cookie(Channel& ch, CookieSlot which) {
  switch (which) {
    case CookieSlot::identity:
      return encode_identity(ch);
    case CookieSlot::sent_seq: {
      std::string out;
      base::put_varint(out, ch.session->flow().sent_seq);
      return out;
    }
    case CookieSlot::alias_in:
      return encode_alias_in(ch);
    case CookieSlot::alias_out:
      return encode_alias_out(ch);
    case CookieSlot::volatile_state:
      return encode_volatile(ch);
    case CookieSlot::retained_cursor:
      return encode_retained_cursor(ch);
    case CookieSlot::subscriptions:
      return encode_subscriptions(*ch.session);
    case CookieSlot::count:
      break;
  }
  return {};
}

void Broker::subscriptions_to_pb(const Session& s, pb::VolatileState& v) {
  v.set_filters_stored(s.filters_stored);
  if (s.filters_stored) return;
  for (const Subscription& sub : s.subscriptions) {
    auto& out = *v.add_subscriptions();
    out.set_filter(raw_filter(sub));
    out.set_options(sub.options.raw);
    out.set_id(sub.id);
  }
}

std::string Broker::encode_subscriptions(const Session& s) {
  pb::VolatileState v;
  if (!s.persistent()) subscriptions_to_pb(s, v);
  return v.SerializeAsString();
}

// `outgoing` := (state:2 stored:1<<3 qos:2<<4, run:varint)*; only what was sent on this connection:
// the rest is either in the store or was never promised to anybody.
std::string Broker::encode_volatile(Channel& ch) {
  Session& s = *ch.session;
  pb::VolatileState v;
  if (!effects_.keeps(ch.conn, CookieSlot::subscriptions)) subscriptions_to_pb(s, v);
  if (s.received) {
    for (const auto& [id, r] : *s.received) {
      if (r.effective) v.add_received(id);
    }
  }
  v.set_first_seq(s.flow().first_seq);
  std::string runs;
  int last = -1;
  std::uint64_t n = 0;
  const auto flush = [&] {
    if (n == 0) return;
    runs.push_back(static_cast<char>(last));
    base::put_varint(runs, n);
  };
  for (std::uint64_t seq = s.flow().first_seq; s.outbox && seq <= s.flow().sent_seq; ++seq) {
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
  if (s.outbox) s.outbox->ragged = runs.size() > kRunsMax;
  v.set_outgoing(runs);
  v.set_spilled(s.flow().queued != 0);
  v.set_shared(s.shared);
  return v.SerializeAsString();
}

}  // namespace berth::session
