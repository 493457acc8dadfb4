// The frames of the Park protocol, Protobuf over TCP or TLS (docs/park-protocol.md). Three users:
//   next_frame  the engine, and devices: whole frames out of a contiguous buffer
//   Walker      the edge: follows frame boundaries without keeping bytes, to answer PING
//   put_frame   whoever sends
// Values and bytes; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace berth::protocol::park {

// frame := 'P' 'K' type:u8 flags:u8 length:u32 seq:u32 payload:u8[length] [crc:u32]
// Numbers are big-endian. crc: if flags has kCrc; CRC-32 of IEEE 802.3 (that of zlib) over all
// before it.
inline constexpr std::uint8_t kMagic0 = 'P';
inline constexpr std::uint8_t kMagic1 = 'K';
inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kCrcBytes = 4;
inline constexpr std::size_t kPayloadMax = std::size_t{1} << 24;  // that a length may say at all
inline constexpr std::uint32_t kVersion = 1;
// The number of this protocol where MQTT's levels are 4 and 5 (link, cookies).
inline constexpr std::uint8_t kLevel = 65;

// `>`: from a device, `<`: to one.
enum class FrameType : std::uint8_t {
  greeting = 1,   // < the first frame of a connection
  hello = 2,      // > answers it
  welcome = 3,    // < now it may report
  ping = 4,       // >
  pong = 5,       // <
  event = 6,      // > reports: an Envelope each
  telemetry = 7,  // >
  state = 8,      // >
  result = 9,     // > of a command
  ack = 10,       // < of reports
  command = 11,   // <
  desired = 12,   // <
  received = 13,  // > acknowledges a command or desired state
  goaway = 14,    // < this connection ends as planned, come back
  error = 15,     // < and this one because of a fault
  bye = 16        // > the device goes
};

enum Flag : std::uint8_t {
  kCrc = 1,
  kAckWanted = 2,  // of telemetry; other reports are always acknowledged
  kAgain = 4,      // may have been said on an earlier connection
  kRetain = 8      // of a state: who subscribes later gets it too
};

struct Frame {
  FrameType type{};
  std::uint8_t flags = 0;
  std::uint32_t seq = 0;
  std::string_view payload;  // into the caller's buffer
  std::size_t size = 0;      // of the whole frame
};

enum class FrameStatus : std::uint8_t { complete, need_more, malformed, too_large, bad_crc };

// `frame_max`: greatest whole frame accepted, bytes. Never reads past `in`.
FrameStatus next_frame(base::ByteView in, std::size_t frame_max, Frame& out);

// Appends a frame. `flags` with kCrc: with its CRC.
void put_frame(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t seq,
               std::string_view payload);
// In parts: the header of a payload of which `size` bytes follow, and what comes after them.
void put_header(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t seq,
                std::size_t size);
std::uint32_t crc_of(std::uint32_t so_far, std::string_view bytes);  // begins with 0
void put_crc(std::string& out, std::uint32_t crc);

class Walker {
 public:
  // Feeds the next bytes of the stream; calls on_ping(flags, seq) for each whole PING. False: this
  // is not the Park protocol, or a frame has no CRC where `crc_wanted`.
  template <class OnPing>
  bool walk(base::ByteView in, bool crc_wanted, OnPing&& on_ping) {
    std::size_t at = 0;
    while (at < in.size()) {
      if (skip_ != 0) {
        const std::size_t n = in.size() - at < skip_ ? in.size() - at : skip_;
        at += n;
        skip_ -= static_cast<std::uint32_t>(n);
      } else {
        const std::size_t n = std::min(kHeaderBytes - have_, in.size() - at);
        std::memcpy(header_ + have_, in.data() + at, n);
        at += n;
        have_ += static_cast<std::uint8_t>(n);
        if (have_ < kHeaderBytes) continue;
        if (!header_done(crc_wanted)) return false;
      }
      if (skip_ != 0 || have_ < kHeaderBytes) continue;
      have_ = 0;
      if (static_cast<FrameType>(header_[2]) == FrameType::ping) on_ping(header_[3], seq());
    }
    return true;
  }
  bool at_boundary() const { return have_ == 0; }
  // Why walk() was false, and the header that was the reason (faults.h has the words).
  enum class Fault : std::uint8_t { none, no_frame, too_large, no_crc };
  Fault fault() const { return fault_; }
  base::ByteView header() const { return {header_, kHeaderBytes}; }
  std::uint32_t length() const;
  // Of a frame that has not come whole: its bytes so far, 0: none; and all it will have, 0: not
  // known yet.
  std::size_t unfinished() const { return have_ < kHeaderBytes ? have_ : packet_size() - skip_; }
  std::size_t packet_size() const {
    if (have_ < kHeaderBytes) return 0;
    return kHeaderBytes + length() + ((header_[3] & kCrc) != 0 ? kCrcBytes : 0);
  }

  // Where in the stream it is, for another process to go on.
  std::string save() const;
  bool go_on_from(std::string_view saved);

 private:
  bool header_done(bool crc_wanted);
  std::uint32_t seq() const;
  std::uint32_t skip_ = 0;  // of payload and CRC, still to come
  std::uint8_t have_ = 0;   // bytes of the header; stays until its payload has been
  std::uint8_t header_[kHeaderBytes] = {};
  Fault fault_ = Fault::none;
};

}  // namespace berth::protocol::park
