// What a message for another partition carries beside itself (ADR 10): in queue entries in the
// place of subscription identifiers, between partitions as the value of a user property.
//
//   ids   := [1 retain_only] [2 was QoS 0 | 3 was QoS 2] [4 stamp_high stamp_low] [group]
//   text  := seq (' ' id)*     decimal
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/link/types.h"

namespace berth::session {

// A shared subscription as other partitions name it: of "$share/group/filter".
inline std::uint32_t route_of_group(std::string_view raw_filter) {
  return std::max<std::uint32_t>(static_cast<std::uint32_t>(protocol::link::hash_of(raw_filter)),
                                 16);
}

// The same in four bits, never 0: what a queue entry has room for. With the entry's topic and the
// session's subscriptions it tells which group an entry came by.
inline std::uint8_t group_mark(std::uint32_t route) {
  return static_cast<std::uint8_t>(1 + route % 15);
}

struct PeerTag {
  bool retain_only = false;  // no session there has subscribed: only to be retained
  std::uint8_t qos = 1;      // of the publisher
  std::uint64_t stamp = 0;   // of a retained message: the greater one is kept
  std::uint32_t group = 0;   // a member of this group gets it, 0: those with plain subscriptions
};

using PeerIds = std::vector<std::uint32_t>;

inline PeerIds ids_of(const PeerTag& t) {
  PeerIds ids;
  if (t.retain_only) ids.push_back(1);
  if (t.qos != 1) ids.push_back(t.qos == 0 ? 2 : 3);
  if (t.stamp != 0) {
    ids.insert(ids.end(),
               {4, static_cast<std::uint32_t>(t.stamp >> 32), static_cast<std::uint32_t>(t.stamp)});
  }
  if (t.group != 0) ids.push_back(t.group);
  return ids;
}

inline PeerTag tag_of(const PeerIds& ids) {
  PeerTag t;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == 1) t.retain_only = true;
    if (ids[i] == 2) t.qos = 0;
    if (ids[i] == 3) t.qos = 2;
    if (ids[i] >= 16) t.group = ids[i];
    if (ids[i] != 4 || i + 2 >= ids.size()) continue;
    t.stamp = (std::uint64_t{ids[i + 1]} << 32) | ids[i + 2];
    i += 2;
  }
  return t;
}

inline std::string text_of(std::uint64_t seq, const PeerIds& ids) {
  std::string out = std::to_string(seq);
  for (const std::uint32_t id : ids) out.append(" ").append(std::to_string(id));
  return out;
}

struct TaggedSeq {
  std::uint64_t seq = 0;
  PeerIds ids;
};
inline std::optional<TaggedSeq> parse_tag(std::string_view text) {
  TaggedSeq out;
  const char* p = text.data();
  const char* const end = p + text.size();
  auto r = std::from_chars(p, end, out.seq);
  while (r.ec == std::errc{} && r.ptr != end && *r.ptr == ' ') {
    std::uint32_t id = 0;
    r = std::from_chars(r.ptr + 1, end, id);
    out.ids.push_back(id);
  }
  if (r.ec != std::errc{} || r.ptr != end) return std::nullopt;
  return out;
}

// As the first of a PUBLISH's user properties: 0x26 name value (MQTT 5.0 3.3.2.3.7).
inline constexpr std::string_view kTagName{"\x26\x00\x02$b", 5};

inline std::string tag_property(std::string_view text) {
  std::string out(kTagName);
  out.push_back(static_cast<char>(text.size() >> 8));
  out.push_back(static_cast<char>(text.size()));
  return out.append(text);
}
// Takes the property off the front; nothing if it is not there.
inline std::optional<TaggedSeq> take_tag(std::string_view& forwarded) {
  if (!forwarded.starts_with(kTagName) || forwarded.size() < kTagName.size() + 2)
    return std::nullopt;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(forwarded[i]); };
  const std::size_t size =
      static_cast<std::size_t>(at(kTagName.size())) << 8 | at(kTagName.size() + 1);
  const std::size_t begin = kTagName.size() + 2;
  if (forwarded.size() < begin + size) return std::nullopt;
  auto tag = parse_tag(forwarded.substr(begin, size));
  if (tag) forwarded.remove_prefix(begin + size);
  return tag;
}

// Client ids of the sessions by which partitions take messages from one another.
inline constexpr std::string_view kPeerClient = "$peer/";
inline std::string peer_client_id(std::uint32_t partition) {
  return std::string(kPeerClient) + std::to_string(partition);
}
// Partition + 1; 0: another session's.
inline std::uint8_t peer_of_client(std::string_view client_id) {
  if (!client_id.starts_with(kPeerClient)) return 0;
  client_id.remove_prefix(kPeerClient.size());
  std::uint32_t n = 0;
  const auto r = std::from_chars(client_id.data(), client_id.data() + client_id.size(), n);
  const bool good = r.ec == std::errc{} && r.ptr == client_id.data() + client_id.size() &&
                    n < protocol::link::kPartitionsMax;
  return good ? static_cast<std::uint8_t>(n + 1) : 0;
}
// UNSUBSCRIBE from this, followed by a number: from all that was subscribed under another number.
inline constexpr std::string_view kOthersFilter = "$peer/others/";

}  // namespace berth::session
