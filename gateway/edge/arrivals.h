// Connections that have not logged in: what their address may open, and what they may cost
// (before_login.h, address_limits.h). A room of the edge; the shard's thread.
#pragma once

#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"

namespace berth::gateway::edge {

class Arrivals final : private EdgeRoom {
 public:
  explicit Arrivals(EdgeContext& cx) : EdgeRoom(cx) {}

  // Counts a new connection. `limited` false: a load balancer's, whose PROXY header has not come.
  void enter(Connection& c, bool limited);
  // The address of a connection behind a proxy has become known. False: refused, and counted.
  bool enter_address(Connection& c);
  // Ends connections until there is room for what `c` costs. False: `c` itself had to go.
  bool has_room_before_login(Connection& c);
};

}  // namespace berth::gateway::edge
