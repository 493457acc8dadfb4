// Partitions (ADR 10). Each other partition is a session of ours, `$peer/N`: a device that has
// subscribed to what its own sessions have. Its queue keeps for it what it has not stored yet; by
// sequence numbers it takes each message once. So a message for a session elsewhere is durable here
// before its PUBACK, like every other.
//
// The other way round we are such a device of each other partition (bridge.h): what we tell it of
// our routes, what comes from it.
#include <algorithm>

#include "base/assert.h"
#include "protocol/mqtt/topic.h"
#include "session/broker.h"
#include "session/entry_codec.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;

namespace {}  // namespace

// -- what we keep for the others

void Broker::on_peer_subscribe(Channel& ch, const mqtt::SubscribeView& v) {
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

void Broker::on_peer_unsubscribe(Channel& ch, const mqtt::UnsubscribeView& v) {
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
bool Broker::send_to_peer(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain,
                          bool dup, std::uint16_t packet_id, const PeerIds* ids,
                          base::Instant now) {
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

// -- the order of retained messages: by the time they were published at, as far as clocks agree,
// never against the order in which a partition has seen them

// -- what comes from the others

// -- what we tell the others of our routes

}  // namespace berth::session
