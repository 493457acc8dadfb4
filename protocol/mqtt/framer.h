// Cuts a byte stream into MQTT packets (MQTT 5.0 section 2.1). Two users:
//   next_frame  the engine: whole packets out of a contiguous buffer
//   Walker      the edge: follows packet boundaries without keeping bytes, to spot PINGREQ and
//               whole packets. Knows lengths, not contents.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "protocol/mqtt/types.h"

namespace berth::protocol::mqtt {

// frame := type:4 flags:4 | remaining length: varint (1..4 bytes) | body
struct Frame {
  std::uint8_t header = 0;  // type and flags
  base::ByteView body;      // into the caller's buffer
  std::size_t size = 0;     // of the whole packet
  PacketType type() const { return static_cast<PacketType>(header >> 4); }
};

enum class FrameStatus { complete, need_more, malformed, too_large };

// `packet_max`: greatest whole packet accepted, bytes. Never reads past `in`.
inline FrameStatus next_frame(base::ByteView in, std::size_t packet_max, Frame& out) {
  std::uint32_t remaining = 0;
  for (std::size_t i = 1; i < 5; ++i) {
    if (i >= in.size()) return FrameStatus::need_more;
    remaining |= static_cast<std::uint32_t>(in[i] & 0x7f) << (7 * (i - 1));
    if ((in[i] & 0x80) != 0) continue;
    out.size = 1 + i + remaining;
    if (out.size > packet_max) return FrameStatus::too_large;
    if (out.size > in.size()) return FrameStatus::need_more;
    out.header = in[0];
    out.body = in.subspan(1 + i, remaining);
    return FrameStatus::complete;
  }
  return FrameStatus::malformed;
}

class Walker {
 public:
  // Feeds the next bytes of the stream; calls on_ping() for each whole PINGREQ. False: the stream
  // can't be MQTT any more (a remaining length of over 4 bytes).
  template <class OnPing>
  bool walk(base::ByteView in, OnPing&& on_ping) {
    const std::uint8_t* p = in.data();
    const std::uint8_t* const end = p + in.size();
    while (p != end) {
      if (skip_ != 0) {
        const auto n = static_cast<std::uint64_t>(end - p);
        if (n < skip_) {
          skip_ -= static_cast<std::uint32_t>(n);
          return true;
        }
        p += skip_;
        skip_ = 0;
        continue;
      }
      if (!header_byte(*p++, on_ping)) return false;
    }
    return true;
  }
  bool at_boundary() const { return skip_ == 0 && length_bytes_ == 0 && header_ == 0; }
  // Of a packet that has not come whole: its bytes so far, 0: none; and all it will have, 0: not
  // known yet.
  std::size_t unfinished() const {
    if (skip_ != 0) return size_ - skip_;
    return at_boundary() ? 0 : std::size_t{1} + length_bytes_;
  }
  std::size_t packet_size() const { return skip_ != 0 ? size_ : 0; }

  // Where in the stream it is, for another process to go on.
  struct Place {
    std::uint32_t skip = 0;
    std::uint32_t remaining = 0;
    std::uint8_t header = 0;
    std::uint8_t length_bytes = 0;
    std::uint32_t size = 0;
  };
  Place place() const { return {skip_, remaining_, header_, length_bytes_, size_}; }
  void go_on_from(const Place& p) {
    skip_ = p.skip;
    remaining_ = p.remaining;
    header_ = p.header;
    length_bytes_ = p.length_bytes;
    size_ = std::max(p.size, p.skip);
  }

 private:
  template <class OnPing>
  bool header_byte(std::uint8_t b, OnPing&& on_ping) {
    if (header_ == 0) {
      header_ = b == 0 ? 1 : b;  // type 0 is refused by the engine; keep "in a header" visible
      return true;
    }
    remaining_ |= static_cast<std::uint32_t>(b & 0x7f) << (7 * length_bytes_);
    if ((b & 0x80) != 0) return ++length_bytes_ < 4;
    if (header_ == 0xc0 && remaining_ == 0) on_ping();
    skip_ = remaining_;
    size_ = remaining_ + 2 + length_bytes_;
    header_ = length_bytes_ = 0;
    remaining_ = 0;
    return true;
  }
  std::uint32_t skip_ = 0;
  std::uint32_t size_ = 0;  // of the packet that skip_ belongs to
  std::uint32_t remaining_ = 0;
  std::uint8_t header_ = 0;
  std::uint8_t length_bytes_ = 0;
};

}  // namespace berth::protocol::mqtt
