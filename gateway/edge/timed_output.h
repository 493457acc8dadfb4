// The packets in a connection's output that have a deadline, and what has become of those that were
// too late, or are watched (Deadline::watch). A Connection has one only while such a packet, or a
// notice of one, is pending. Knows no socket: the EdgeShard says what has been written. One shard.
//
// Packets are counted from the first byte that has not been written on. What stands between them
// (packets without a deadline, the edge's own answers) is a gap. A packet of which a byte has gone
// into the socket, a TLS record or a WebSocket frame becomes a part of a gap: it can't be taken
// back.
//
// A notice stays until an engine says that what follows from it is durable, because the engine that
// hears of it may die (docs/design.md, "Deadlines").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "protocol/link/types.h"

namespace berth::gateway::edge {

class TimedOutput {
 public:
  using Deadline = protocol::link::Deadline;  // by the edge's clock, here
  using Fate = protocol::link::Fate;
  // Of packets, and of those written that the peer may not have: 200 KiB; more are dropped as if
  // too late.
  static constexpr std::size_t kPacketsMax = 4096;
  static constexpr std::size_t kWatchedMax = 64;  // of these, watched
  static constexpr std::size_t kWrittenMany = 32;
  // Fates that no engine has taken. Of further watched packets not even the fate is kept: they are
  // dropped, and to the engine they have never reached the edge.
  static constexpr std::size_t kFatesMax = 1024;
  enum class Taken : std::uint8_t { yes, late, no_room };
  struct Told {
    std::uint64_t tag = 0;
    Fate fate{};
  };

  // The caller wants to append a packet of `size` bytes to output of which `unsent` bytes are not
  // written. `yes`: it appends the packet. Else it drops the packet; a packet with a tag has left a
  // notice. REQUIRES: `unsent` ends behind the last packet taken.
  Taken take(std::size_t unsent, std::size_t size, const Deadline& d, base::Instant now);
  // The caller does not want to append it at all.
  void refuse(std::uint64_t tag, Fate fate) { dropped(tag, fate); }
  bool empty() const { return packets_.empty(); }
  // Bytes up to the first packet; if there are none, those of the packet. 0: there is none.
  std::size_t next() const;
  bool next_is_packet() const { return !packets_.empty() && packets_.front().gap == 0; }
  bool any_fresh() const { return fresh_ != 0; }  // packets with Deadline::fresh
  // So many written packets are kept that acknowledged() is worth a system call.
  bool are_many_written() const { return written_.size() >= kWrittenMany; }
  // The peer has acknowledged so many bytes of the socket.
  void acknowledged(std::uint64_t bytes);
  // The first `n` bytes are out of reach: written, or encrypted.
  void begun(std::size_t n);
  void written(std::size_t n);  // or framed
  // The kernel has all that has been written(), and `handed` bytes of this socket in all, with what
  // lies between it and us (TLS, WebSocket).
  void kernel_has_all(std::uint64_t handed);
  bool is_under_way() const { return !begun_.empty(); }  // kernel_has_all() is waited for
  // Cuts what is too late out of `out`, whose bytes from `at` on are unsent. Returns the packets.
  std::size_t drop_late(std::string& out, std::size_t at, base::Instant now);
  // The same for packets with Deadline::fresh: they would have to wait, or the connection is not
  // fresh.
  void drop_stale(std::string& out, std::size_t at);
  // When a look at the packets is due though the socket has no news.
  std::optional<base::Instant> look_at() const;
  // Bytes of a packet that resets() have been written, its deadline has passed, and the peer
  // has acknowledged `bytes` of the socket, not all of the packet: the connection is
  // to be reset. True: so it is; the fate of such packets is cut_off.
  bool cut_off(base::Instant now, std::uint64_t bytes);
  // A packet that resets() is written, or partly, and not acknowledged as far as is known. Its
  // bytes may reach the peer after its deadline, unless the connection ends with a reset.
  bool holds_up() const;
  // One with a passed deadline was written, or partly.
  bool may_cut_off(base::Instant now) const;
  // The socket is gone.
  void forget_packets();

  // Tags of dropped packets that are no command's, and fates of commands' packets, that the present
  // engine has not heard; they count as told from now on.
  std::vector<std::uint64_t> tell();
  std::vector<Told> tell_fates();
  bool all_told() const { return told_ == notices_.size() && fates_told_ == fates_.size(); }
  void tell_again() { told_ = fates_told_ = 0; }  // to another engine
  void taken(std::uint64_t tag, Fate fate);
  // Watched packets whose fate is still open.
  std::vector<std::uint64_t> undecided() const;
  bool is_needed() const {
    return !packets_.empty() || !begun_.empty() || !notices_.empty() || !fates_.empty() ||
           !written_.empty();
  }
  // Fates of commands' packets since the last call, by fate.
  using Counts = std::array<std::uint32_t, static_cast<std::size_t>(Fate::count)>;
  Counts take_counts();

  // To another process of this host. `ahead_ms`: how far the clock of not_after is ahead of the
  // machine's uptime. `handed`: as for kernel_has_all(), in each process by its own count.
  std::string save(std::int64_t ahead_ms, std::uint64_t handed) const;
  bool go_on_from(std::string_view in, std::size_t unsent, std::int64_t ahead_ms,
                  std::uint64_t handed);

 private:
  struct Packet {
    std::size_t gap = 0;  // bytes in front of it
    std::size_t size = 0;
    Deadline deadline;
  };
  struct Begun {           // that is watched or resets()
    std::size_t left = 0;  // bytes from the first that is not written to its end
    Deadline deadline;
    std::size_t behind = 0;  // bytes written behind it since
  };
  struct Written {          // that resets(), until it is acknowledged or its deadline passes
    std::uint64_t end = 0;  // of the bytes handed to the socket
    Deadline deadline;
    bool is_open(std::uint64_t acknowledged) const {  // counts may pass 2^64
      return static_cast<std::int64_t>(end - acknowledged) > 0;
    }
  };
  template <typename Doomed>
  std::size_t cut(std::string& out, std::size_t at, const Doomed& doomed, Fate fate);
  void dropped(std::uint64_t tag, Fate fate);
  void decide(std::uint64_t tag, Fate fate);
  std::size_t watched() const;
  void save_commands(std::string& out, std::int64_t ahead_ms, std::uint64_t handed) const;
  bool get_commands(base::RecordReader& r, std::size_t unsent, std::int64_t ahead_ms,
                    std::uint64_t handed);

  std::deque<Packet> packets_;
  std::size_t spanned_ = 0;  // bytes up to the end of the last packet
  std::size_t fresh_ = 0;    // of packets_, with Deadline::fresh
  std::deque<Begun> begun_;
  std::deque<Written> written_;
  // Tags. Of deliveries that are in flight for an engine: as many as a session may have of these.
  std::vector<std::uint64_t> notices_;
  std::size_t told_ = 0;  // of these
  std::vector<Told> fates_;
  std::size_t fates_told_ = 0;  // of these
  Counts counts_{};
};

}  // namespace berth::gateway::edge
