// What the edge itself reads and says on the streams of devices, whose protocols are
// StreamFollowers: it follows the boundaries of
// packets, answers heartbeats, greets, says why it ends a connection, and finds the partition that
// serves it. A room of the edge; the shard's thread.
//
// Limits: a CONNECT or HELLO 64 KiB (refused, closed); answers to heartbeats before CONNACK: as
// many as the input before CONNACK has room for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/drain.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/kept_input.h"
#include "protocol/mqtt/types.h"

namespace berth::gateway::edge {

class Followers final : private EdgeRoom {
 public:
  Followers(EdgeContext& cx, const Drain& drain, KeptInput& input)
      : EdgeRoom(cx), drain_(drain), input_(input) {}

  // Says the first word where the protocol wants it of us.
  // REQUIRES: nothing of `c` has been read.
  void greet(Connection& c);
  bool follow(Connection& c, base::ByteView bytes);
  // REQUIRES: follow() was false for `bytes`.
  void reject(Connection& c, base::ByteView bytes);
  // REQUIRES: `c` has no partition, and its packet begins with what is kept of it.
  bool place(Connection& c, base::ByteView bytes);

  // What a device is told before its connection ends. `text`: for protocols that have room for it;
  // empty: as the reason says.
  std::string farewell_to(const Connection& c, protocol::mqtt::Reason reason,
                          std::string_view text = {}) const;
  // What a connection is told that is kept out. `first`: its first bytes, if it has just come.
  std::string banned(const Connection& c, base::ByteView first) const;

 private:
  void answer_ping(Connection& c, std::string_view pong);
  std::uint32_t come_back_after_ms(const Connection& c) const;

  const Drain& drain_;
  KeptInput& input_;
};

}  // namespace berth::gateway::edge
