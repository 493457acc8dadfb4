// Bytes of a queue entry and of a retained message in the store.
//
//   entry    := flags:u8 cumulative:varint expires_ms:varint n:varint id:varint[n]
//               topic:bytes forwarded:bytes payload:rest
//   flags    := qos:2 retain:1 released:1 mark:4 (a released entry ends after `cumulative`)
//   retained := flags:u8 [stamp:varint] expires_ms:varint topic:bytes forwarded:bytes payload:rest
//   flags    := qos:2 stamped:1 (a stamped one without payload: it has been removed)
//
// expires_ms 0: never. `mark`: group_mark() of the shared subscription that it came by, or 0;
// engines of the release before do not look at it. `cumulative` is the sum of the sizes of all
// entries stored so far in this queue, so that first and last entry tell a queue's bytes without
// reading it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "session/message.h"

namespace berth::session {

struct EntryView {
  MessageView message;
  std::uint64_t cumulative = 0;
  bool released = false;
  std::uint8_t mark = 0;
  std::vector<std::uint32_t> ids;
};

// What an entry counts in its queue, in bytes.
inline std::size_t bytes_of_entry(const MessageView& m, std::size_t ids) {
  constexpr std::size_t kIdBytes = 5;  // of a subscription identifier
  return m.topic.size() + m.payload.size() + m.forwarded.size() + kIdBytes * ids + 16;
}

inline void encode_entry(std::string& o, const MessageView& m, std::uint8_t qos, bool retain,
                         std::uint64_t cumulative, const std::vector<std::uint32_t>* ids,
                         std::uint8_t mark = 0) {
  o.push_back(static_cast<char>(qos | (retain ? 4 : 0) | (mark << 4)));
  base::put_varint(o, cumulative);
  base::put_varint(o,
                   m.expires_at == base::kNever ? 0 : static_cast<std::uint64_t>(m.expires_at.ms));
  base::put_varint(o, ids == nullptr ? 0 : ids->size());
  if (ids != nullptr) {
    for (const std::uint32_t id : *ids) base::put_varint(o, id);
  }
  base::put_bytes(o, m.topic);
  base::put_bytes(o, m.forwarded);
  o.append(m.payload);
}

inline void encode_released(std::string& o, std::uint64_t cumulative) {
  o.push_back(static_cast<char>(2 | 8));
  base::put_varint(o, cumulative);
}

inline std::optional<EntryView> decode_entry(std::string_view in) {
  base::RecordReader r(in);
  EntryView e;
  const std::uint8_t flags = r.byte();
  e.message.qos = flags & 3;
  e.message.retain = (flags & 4) != 0;
  e.released = (flags & 8) != 0;
  e.mark = flags >> 4;
  e.cumulative = r.varint();
  if (e.released) return r.ok() && e.message.qos == 2 ? std::optional(e) : std::nullopt;
  const std::uint64_t expires = r.varint();
  if (expires != 0) e.message.expires_at = {static_cast<std::int64_t>(expires)};
  const std::uint64_t n = r.varint();
  for (std::uint64_t i = 0; i < n && r.ok(); ++i)
    e.ids.push_back(static_cast<std::uint32_t>(r.varint()));
  e.message.topic = r.bytes();
  e.message.forwarded = r.bytes();
  e.message.payload = r.rest();
  if (!r.ok() || e.message.qos == 3) return std::nullopt;
  return e;
}

inline void encode_retained(std::string& o, const MessageView& m) {
  o.push_back(static_cast<char>(m.qos | (m.stamp != 0 ? 4 : 0)));
  if (m.stamp != 0) base::put_varint(o, m.stamp);
  base::put_varint(o,
                   m.expires_at == base::kNever ? 0 : static_cast<std::uint64_t>(m.expires_at.ms));
  base::put_bytes(o, m.topic);
  base::put_bytes(o, m.forwarded);
  o.append(m.payload);
}

inline std::optional<MessageView> decode_retained(std::string_view in) {
  base::RecordReader r(in);
  const std::uint8_t flags = r.byte();
  MessageView m{.qos = static_cast<std::uint8_t>(flags & 3), .retain = true};
  if ((flags & 4) != 0) m.stamp = r.varint();
  const std::uint64_t expires = r.varint();
  if (expires != 0) m.expires_at = {static_cast<std::int64_t>(expires)};
  m.topic = r.bytes();
  m.forwarded = r.bytes();
  m.payload = r.rest();
  if (!r.ok() || m.qos > 2) return std::nullopt;
  return m;
}

}  // namespace berth::session
