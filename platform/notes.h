// What the platform sides of partitions tell each other: notes travel in the queues between
// partitions (ADR 10), so each is taken once, in order, and durable with what has caused it. To the
// own partition a note is a call at the end of the turn. One shard, one thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace berth::platform {

namespace pb {
class Note;
}  // namespace pb

class Notes {
 public:
  // Into the open batch. The note's number among those for this partition; 0: there is no room, the
  // note is lost (counted). kSelf: to the own partition, not lost.
  static constexpr std::uint64_t kSelf = UINT64_MAX;
  virtual std::uint64_t tell(std::uint32_t partition, const pb::Note& note) = 0;

 protected:
  ~Notes() = default;
};

// What became of a command's bytes or queue entry. Stored and sent: append only.
enum class Fate : std::uint8_t {
  sent = 1,      // the edge has written all of it
  dropped = 2,   // not a byte was written, and none will be
  cut_off = 3,   // written at least in part; the connection has ended before it was acknowledged
  received = 4,  // the device's protocol has acknowledged it
  refused = 5    // the device's protocol has refused it
};

// The name of one attempt at one command on its way through edges: bit 63, so that it differs from
// the sequence number of a queue's message; the home partition (8 bits), the command (47 bits), the
// attempt (8 bits).
inline constexpr std::uint64_t kCommandTag = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kSerialMax = (std::uint64_t{1} << 47) - 1;
inline constexpr std::uint64_t tag_of(std::uint32_t home, std::uint64_t serial,
                                      std::uint32_t attempt) {
  return kCommandTag | (std::uint64_t{home & 0xffu} << 55) | ((serial & kSerialMax) << 8) |
         (attempt & 0xffu);
}
inline constexpr std::uint32_t home_of_tag(std::uint64_t tag) {
  return static_cast<std::uint32_t>(tag >> 55) & 0xffu;
}
inline constexpr std::uint64_t serial_of_tag(std::uint64_t tag) {
  return (tag >> 8) & kSerialMax;
}
inline constexpr std::uint32_t attempt_of_tag(std::uint64_t tag) {
  return static_cast<std::uint32_t>(tag & 0xffu);
}

}  // namespace berth::platform
