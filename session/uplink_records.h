// What the store has of an uplink beside its queue (ADR 25, 26): records with the name of the
// uplink in their keys. Live ones: an engine that begins has them. Plain data; any thread.
//
//   key := "!u" 0 NAME 0 TABLE [seq:varint]     TABLE: c (cursor), m (marks), d (a dead letter),
//                                                      p (what was defined over REST)
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace berth::session {

inline constexpr std::size_t kUplinkMarksMax = 4096;

// A message that the platform will never take.
struct DeadLetter {
  static constexpr std::size_t kTextMax = 256;  // bytes of `why` and of `topic`
  std::uint64_t seq = 0;
  std::int64_t at_ms = 0;
  std::string why;
  std::string topic;        // as it is inside
  std::uint64_t bytes = 0;  // of the payload
  bool again = false;       // it waits to be sent again
};

struct UplinkMark {
  std::uint64_t seq = 0;  // newest then
  std::int64_t at_ms = 0;
  std::uint64_t cumulative = 0;  // Flow::cumulative_bytes then
};

// Of one uplink, beside its queue: records of the store.
struct UplinkStored {
  std::uint64_t done_through = 0;
  std::uint64_t done_cumulative = 0;  // Flow::cumulative_bytes when that came
  std::uint64_t kept_from = 0;
  std::uint64_t replay_next = 0;  // 0: none is under way
  std::uint64_t replay_through = 0;
  std::deque<UplinkMark> marks;
  std::map<std::uint64_t, DeadLetter> dead;
};

inline constexpr std::string_view kUplinkRecords{"!u\0", 3};
enum class UplinkTable : char { cursor = 'c', marks = 'm', dead = 'd', definition = 'p' };
// Of a dead letter the sequence number follows.
std::string uplink_key(std::string_view name, UplinkTable table);
std::string dead_letter_key(std::string_view name, std::uint64_t seq);

std::string encode_cursor(const UplinkStored& s);
std::string encode_marks(const std::deque<UplinkMark>& marks);
std::string encode_dead_letter(const DeadLetter& d);

// Takes a record in, or out again (value null). The name of its uplink; empty: it is none.
std::string take_uplink_record(std::string_view key, const std::string_view* value,
                               std::map<std::string, UplinkStored>& all);
// The name of the uplink whose definition has this key; empty: it is none.
std::string_view defined_uplink(std::string_view key);

}  // namespace berth::session
