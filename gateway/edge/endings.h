// The end of a connection: at once, or when its output has been written (5 s, then it is cut off);
// after some words, where its protocol has them. A connection whose socket is closed stays until
// the engine has released it. A room of the edge; the shard's thread.
#pragma once

#include <string_view>

#include "base/ids.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/device_sockets.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/followers.h"
#include "gateway/edge/kept_input.h"
#include "gateway/edge/output.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"

namespace berth::gateway::edge {

class Endings final : private EdgeRoom {
 public:
  Endings(EdgeContext& cx, KeptInput& input, Followers& followers, DeviceSockets& sockets,
          Output& output)
      : EdgeRoom(cx), input_(input), followers_(followers), sockets_(sockets), output_(output) {}

  // -- EdgeCalls
  void end(Connection& c, protocol::link::CloseReason reason);
  void begin_close(Connection& c, protocol::link::CloseReason reason);
  void dismiss(Connection& c, protocol::mqtt::Reason why, protocol::link::CloseReason reason);

  void dismiss(Connection& c, std::string_view words, protocol::link::CloseReason reason);
  // REQUIRES: its socket is closed, and no engine knows it.
  void finish(Connection& c);  // frees the slot
  void send_away(Connection& c);

  // -- link::EdgePort
  void close(base::ConnId conn, protocol::link::CloseReason reason);
  // REQUIRES: its socket is closed, as EnginePort::closed() has said.
  void release(base::ConnId conn);

 private:
  KeptInput& input_;
  Followers& followers_;
  DeviceSockets& sockets_;
  Output& output_;
};

}  // namespace berth::gateway::edge
