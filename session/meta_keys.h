// The keys of the store's table of applied records (WriteKind::put_applied). One table, keys of six
// kinds, told apart by their length and beginning; the bytes are in stores of earlier releases:
//
//   outcome      edge:8 connection:8 offset:8   what an input has come to (ReplayLog)
//   will_intent  0:8 time:8 number:8            a will whose publication was begun (Wills)
//   edge         "edge" id:8                    an edge that this partition serves
//   peer_route   "peer-route/" partition:1 raw filter
//   peer_seen    "peer-seen/" partition:1
//   clock        "wall-clock"
//   none         "peer-none"                    never written: CommitPipeline::barrier()
//
// Plain functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace berth::session {

using EdgeConn = std::pair<std::uint64_t, std::uint64_t>;  // edge id, connection

inline constexpr std::string_view kClockKey = "wall-clock";
inline constexpr std::string_view kBarrierKey = "peer-none";
inline constexpr std::string_view kEdgeKey = "edge";
inline constexpr std::string_view kRouteKey = "peer-route/";
inline constexpr std::string_view kSeenKey = "peer-seen/";

inline std::string outcome_key(const EdgeConn& conn, std::uint64_t offset) {
  std::string key;
  base::put_key64(key, conn.first);
  base::put_key64(key, conn.second);
  base::put_key64(key, offset);
  return key;
}
inline std::string will_intent_key(std::int64_t now_ms, std::uint64_t number) {
  return outcome_key({0, static_cast<std::uint64_t>(now_ms)}, number);
}
inline std::string edge_key(std::uint64_t edge_id) {
  std::string key(kEdgeKey);
  base::put_key64(key, edge_id);
  return key;
}
inline std::string route_key(std::uint32_t peer, std::string_view raw) {
  std::string key(kRouteKey);
  key.push_back(static_cast<char>(peer));
  return key.append(raw);
}
inline std::string seen_key(std::uint32_t source) {
  std::string key(kSeenKey);
  key.push_back(static_cast<char>(source));
  return key;
}

struct MetaKey {
  enum class Kind : std::uint8_t {
    unknown,
    outcome,
    will_intent,
    edge,
    peer_route,
    peer_seen,
    clock
  };
  Kind kind = Kind::unknown;
  EdgeConn conn{};           // of an outcome
  std::uint64_t number = 0;  // offset of an outcome, number of an intent, id of an edge, partition
};
inline MetaKey parse_meta_key(std::string_view key) {
  using Kind = MetaKey::Kind;
  if (key == kClockKey) return {.kind = Kind::clock};
  if (key.starts_with(kRouteKey) && key.size() > kRouteKey.size())
    return {.kind = Kind::peer_route, .number = static_cast<std::uint8_t>(key[kRouteKey.size()])};
  if (key.starts_with(kSeenKey) && key.size() == kSeenKey.size() + 1)
    return {.kind = Kind::peer_seen, .number = static_cast<std::uint8_t>(key.back())};
  if (key.size() == kEdgeKey.size() + 8 && key.starts_with(kEdgeKey))
    return {.kind = Kind::edge, .number = base::get_key64(key.substr(kEdgeKey.size()))};
  if (key.size() != 24) return {};
  const EdgeConn conn{base::get_key64(key), base::get_key64(key.substr(8))};
  const Kind kind = conn.first == 0 ? Kind::will_intent : Kind::outcome;
  return {.kind = kind, .conn = conn, .number = base::get_key64(key.substr(16))};
}
// REQUIRES: the key of an intent.
inline std::uint64_t number_of_intent(std::string_view key) {
  return base::get_key64(key.substr(16));
}

}  // namespace berth::session
