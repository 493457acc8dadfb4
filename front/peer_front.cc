#include "front/peer_front.h"

#include "base/bytes.h"
#include "session/meta_keys.h"
#include "session/peer_tag.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;

void PeerFront::on_subscribe(Channel& ch, const mqtt::SubscribeView& v) {
  Session& s = *ch.session;
  std::vector<Reason> reasons;
  for (const mqtt::SubscriptionView& sub : v.subscriptions) {
    auto& known = peer_queues_.routes_of(s.peer - 1u);
    const auto it = known.find(sub.filter);
    const bool same = it != known.end() && it->second == v.subscription_id;
    const bool good = same || peer_queues_.add_route(s, sub.filter, v.subscription_id);
    reasons.push_back(good ? Reason::granted_qos2 : Reason::topic_filter_invalid);
    if (same || !good) continue;
    const std::string key = route_key(s.peer - 1u, sub.filter);
    std::string value;
    base::put_varint(value, v.subscription_id);
    commits_.write({.kind = WriteKind::put_applied, .key = key, .value = value});
  }
  stall(ch);
  commits_.defer_call(ch, [this, reasons, id = v.packet_id, conn = ch.conn](base::Instant) {
    Channel* c = connections_.find(conn);
    if (c == nullptr || !c->live()) return;
    head_.clear();
    mqtt::encode_suback(head_, c->version, id, reasons);
    effects_.send(c->conn, head_, {});
  });
  if (!commits_.has_uncommitted()) commits_.barrier();
}

void PeerFront::on_unsubscribe(Channel& ch, const mqtt::UnsubscribeView& v) {
  Session& s = *ch.session;
  auto& known = peer_queues_.routes_of(s.peer - 1u);
  for (const std::string_view filter : v.filters) {
    if (filter.starts_with(kOthersFilter)) {
      const auto generation = parse_tag(filter.substr(kOthersFilter.size()));
      if (!generation) continue;
      erase_if(known, [&](const auto& route) {
        if (route.second == generation->seq) return false;
        peer_queues_.remove_route(s, route.first);
        return true;
      });
    } else if (known.erase(std::string(filter)) != 0) {
      peer_queues_.remove_route(s, filter);
    }
  }
  stall(ch);
  commits_.defer_call(
      ch, [this, n = v.filters.size(), id = v.packet_id, conn = ch.conn](base::Instant) {
        Channel* c = connections_.find(conn);
        if (c == nullptr || !c->live()) return;
        head_.clear();
        mqtt::encode_unsuback(head_, c->version, id, std::vector<Reason>(n, Reason::success));
        effects_.send(c->conn, head_, {});
      });
  if (!commits_.has_uncommitted()) commits_.barrier();
}

// With the number by which it takes each message once, and the tag.
bool PeerFront::send(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
                     std::uint16_t packet_id, const PeerIds* ids, base::Instant now) {
  const std::uint64_t seq = qos == 0 ? 0 : seq_of(packet_id, ch.session->flow().first_seq);
  const std::string forwarded =
      tag_property(text_of(seq, ids != nullptr ? *ids : PeerIds{})).append(m.forwarded);
  MessageView tagged = m;
  tagged.forwarded = forwarded;
  new_message();
  const bool sent = writer_.send(ch, tagged, qos, retain, dup, packet_id, nullptr, now);
  new_message();
  return sent;
}

}  // namespace berth::session
