// What an edge knows of the Park protocol: see StreamFollower. Part of a Connection; the shard's
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/wall_clock.h"
#include "gateway/edge/follower_types.h"
#include "protocol/park/control.h"
#include "protocol/park/frame.h"

namespace berth::gateway::edge {

class ParkFollower {
 public:
  static constexpr std::uint32_t kKeepAliveHalves = 5;  // 2.5 times (docs/park-protocol.md)

  template <class Answer>
  bool walk(base::ByteView in, bool, const StreamFacts& s, Answer&& answer) {
    return walker_.walk(in, !s.tls, [&](std::uint8_t flags, std::uint32_t seq) {
      std::string pong;
      protocol::park::put_pong(pong, flags & protocol::park::kCrc, seq, base::wall_time().ms);
      answer(pong);
    });
  }
  bool at_boundary() const { return walker_.at_boundary(); }
  std::size_t unfinished() const { return walker_.unfinished(); }
  std::size_t packet_size() const { return walker_.packet_size(); }
  StreamFault fault(base::ByteView in, bool first) const;

  // GREETING; empty: there is no randomness for its nonce.
  static std::string greeting(const StreamFacts& s);
  static std::string farewell(const Farewell& f, const StreamFacts& s);
  static std::string refusal(const Farewell& f, const StreamFacts& s, base::ByteView) {
    return farewell(f, s);
  }

  static bool waits_for_more(std::uint8_t, std::uint64_t) { return false; }
  // `in` begins with our own GREETING.
  static First peek(base::ByteView in, std::string& client_id);
  static bool refuse_large(base::ByteView, std::string&) { return true; }
  static bool has_whole_packet(base::ByteView in);
  static bool has_goodbye(base::ByteView in);

  FollowerPlace save() const { return {.mqtt = {}, .park = walker_.save()}; }
  bool go_on_from(const FollowerPlace& p) { return walker_.go_on_from(p.park); }

 private:
  protocol::park::Walker walker_;
};

}  // namespace berth::gateway::edge
