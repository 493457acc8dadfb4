// Why connections end: what is counted, and whether a device said goodbye. Any thread; no state.
#pragma once

#include "gateway/edge/connection.h"
#include "metrics/probe.h"
#include "protocol/link/types.h"

namespace berth::gateway::edge {

// Of a socket that the peer has closed or reset (`reason`: client or peer_reset), the reason that
// tells a goodbye from a device that has vanished: client if a DISCONNECT or BYE has been received
// whole, be it that no engine has read it yet; else peer_closed or peer_reset.
protocol::link::CloseReason end_of_peer(const Connection& c, protocol::link::CloseReason reason);

// berth_connection_closed_total for connections that had logged in, else
// berth_connections_closed_before_login_total.
void count_end(metrics::EdgeProbe& probe, protocol::link::CloseReason reason, bool logged_in);

}  // namespace berth::gateway::edge
