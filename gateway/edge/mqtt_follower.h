// What an edge knows of MQTT: see StreamFollower. Part of a Connection; the shard's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "gateway/edge/follower_types.h"
#include "protocol/mqtt/framer.h"
#include "protocol/park/frame.h"

namespace berth::gateway::edge {

class MqttFollower {
 public:
  static constexpr std::uint32_t kKeepAliveHalves = 3;  // 1.5 times (MQTT 3.1.2-22)

  template <class Answer>
  bool walk(base::ByteView in, bool first, const StreamFacts&, Answer&& answer) {
    if (first && in.front() == protocol::park::kMagic0) return false;
    return walker_.walk(in, [&] { answer({"\xd0\x00", 2}); });
  }
  bool at_boundary() const { return walker_.at_boundary(); }
  std::size_t unfinished() const { return walker_.unfinished(); }
  std::size_t packet_size() const { return walker_.packet_size(); }
  static StreamFault fault(base::ByteView in, bool first);

  static std::string greeting(const StreamFacts&) { return {}; }
  // MQTT 3.1.1 has no words for it.
  static std::string farewell(const Farewell& f, const StreamFacts& s);
  static std::string refusal(const Farewell& f, const StreamFacts& s, base::ByteView first);

  bool waits_for_more(std::uint8_t first_byte, std::uint64_t in_off) const;
  static First peek(base::ByteView in, std::string& client_id);
  static bool refuse_large(base::ByteView in, std::string& out);
  static bool has_whole_packet(base::ByteView in);
  static bool has_goodbye(base::ByteView in);

  FollowerPlace save() const;
  bool go_on_from(const FollowerPlace& p);

 private:
  protocol::mqtt::Walker walker_;
};

}  // namespace berth::gateway::edge
