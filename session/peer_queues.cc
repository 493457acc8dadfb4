#include "session/peer_queues.h"

#include <algorithm>

#include "protocol/mqtt/topic.h"
#include "session/meta_keys.h"
#include "session/peer_tag.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;

namespace {

constexpr std::uint8_t kPeerOptions = 2 | 8;  // QoS 2, retain as published

}  // namespace

// The queue entry for another partition. It is told by its tag what to do with it.
void PeerQueues::stage(Session& peer, Delivery& d, std::uint32_t group, bool retain_only) {
  const PeerTag tag{
      .retain_only = retain_only, .qos = d.message.qos, .stamp = d.message.stamp, .group = group};
  queues_.append(peer, d, 1, d.message.retain, ids_of(tag));
}

// Every partition keeps all retained messages, whoever has subscribed.
void PeerQueues::stage_retained(const Match& m, Delivery& d) {
  for (std::uint32_t p = 0; p < options_.partitions; ++p) {
    if (p == options_.partition) continue;
    Session* s = sessions_.by_client(peer_client_id(p));
    if (s == nullptr) continue;
    const bool has_it = std::any_of(m.targets.begin(), m.targets.end(),
                                    [s](const Target& t) { return t.session == s; });
    if (!has_it) stage(*s, d, 0, true);
  }
}

bool PeerQueues::add_route(Session& s, std::string_view raw, std::uint32_t generation) {
  const mqtt::ParsedFilter p = mqtt::parse_filter(raw);
  if (!p.valid) return false;
  router_.add(router_.intern(p.filter), &s, p.group, SubOptions{kPeerOptions},
              p.shared ? route_of_group(raw) : 0);
  peer_routes_[s.peer - 1u].insert_or_assign(std::string(raw), generation);
  return true;
}

void PeerQueues::remove_route(Session& s, std::string_view raw) {
  const mqtt::ParsedFilter p = mqtt::parse_filter(raw);
  router_.remove(router_.intern(p.filter), &s, p.group);
  const std::string key = route_key(s.peer - 1u, raw);
  commits_.write({.kind = WriteKind::remove_applied, .key = key});
}

// Routes before inputs. What a partition is to get is kept from the first message on, also before
// it has come for the first time.
void PeerQueues::restore_routes() {
  for (std::uint32_t p = 0; partitioned() && p < options_.partitions; ++p) {
    if (p == options_.partition || sessions_.by_client(peer_client_id(p)) != nullptr) continue;
    Session& s = sessions_.make_new(peer_client_id(p));
    s.expiry_s = mqtt::kNoExpiry;
    s.epoch = 1;
    records_.put(s);
  }
  for (const auto& [key, generation] : stored_routes_) {
    const auto peer = static_cast<std::uint8_t>(key[kRouteKey.size()]);
    Session* s = sessions_.by_client(peer_client_id(peer));
    if (s != nullptr && s->peer != 0)
      add_route(*s, std::string_view(key).substr(kRouteKey.size() + 1), generation);
  }
  stored_routes_ = {};
}

}  // namespace berth::session
