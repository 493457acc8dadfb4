#include "session/cookie_writer.h"

#include "base/bytes.h"
#include "protocol/park/frame.h"
#include "session/record_codec.h"
#include "session/records.pb.h"

namespace berth::session {

using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kRunsMax = 4096;  // bytes of a cookie

}  // namespace

void CookieWriter::changed(Channel& ch, CookieSlot slot) {
  if (!options_.replay) return;
  if (ch.dirty == 0) dirty_.push_back(ch.conn);
  ch.dirty |= static_cast<std::uint8_t>(1u << static_cast<unsigned>(slot));
}

void CookieWriter::flush() {
  for (const base::ConnId conn : dirty_) {
    Channel* ch = connections_.find(conn);
    if (ch == nullptr) continue;
    const WorksFor scope = works_for(conn);
    if (ch->session != nullptr && ch->connack_sent) {
      for (unsigned i = 0; i < static_cast<unsigned>(CookieSlot::count); ++i) {
        const auto slot = static_cast<CookieSlot>(i);
        if ((ch->dirty & (1u << i)) != 0) effects_.cookie(conn, slot, encode(*ch, slot));
      }
    }
    ch->dirty = 0;
  }
  dirty_.clear();
}

std::string CookieWriter::encode_identity(Channel& ch) {
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

std::string CookieWriter::encode(Channel& ch, CookieSlot which) {
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

void CookieWriter::subscriptions_to_pb(const Session& s, pb::VolatileState& v) {
  v.set_filters_stored(s.filters_stored);
  if (s.filters_stored) return;
  for (const Subscription& sub : s.subscriptions) {
    auto& out = *v.add_subscriptions();
    out.set_filter(records_.raw_filter(sub));
    out.set_options(sub.options.raw);
    out.set_id(sub.id);
  }
}

std::string CookieWriter::encode_subscriptions(const Session& s) {
  pb::VolatileState v;
  if (!s.persistent()) subscriptions_to_pb(s, v);
  return v.SerializeAsString();
}

// `outgoing` := (state:2 stored:1<<3 qos:2<<4, run:varint)*; only what was sent on this connection:
// the rest is either in the store or was never promised to anybody.
std::string CookieWriter::encode_volatile(Channel& ch) {
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
