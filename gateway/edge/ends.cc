#include "gateway/edge/ends.h"

#include <array>
#include <cstddef>

#include "base/bytes.h"

namespace berth::gateway::edge {

using metrics::EdgeProbe;
using protocol::link::CloseReason;

namespace {

using Counter = std::uint64_t EdgeProbe::*;
struct Counters {
  Counter after;  // log-in
  Counter before;
};
constexpr std::array<Counters, static_cast<std::size_t>(CloseReason::count)> kCounters{{
    {&EdgeProbe::closed_client, &EdgeProbe::unready_client},
    {&EdgeProbe::closed_peer_reset, &EdgeProbe::unready_peer_reset},
    {&EdgeProbe::closed_keepalive, &EdgeProbe::unready_handshake},
    {&EdgeProbe::closed_keepalive, &EdgeProbe::unready_handshake},
    {&EdgeProbe::closed_protocol, &EdgeProbe::unready_protocol},
    {&EdgeProbe::closed_taken_over, &EdgeProbe::unready_refused},
    {&EdgeProbe::closed_policy, &EdgeProbe::unready_refused},
    {&EdgeProbe::closed_drained, &EdgeProbe::unready_drained},
    {&EdgeProbe::closed_too_large, &EdgeProbe::unready_too_large},
    {&EdgeProbe::closed_slow, &EdgeProbe::unready_policy},
    {&EdgeProbe::closed_policy, &EdgeProbe::unready_policy},
    {&EdgeProbe::closed_engine_absent, &EdgeProbe::unready_engine_absent},
    {&EdgeProbe::closed_session_lost, &EdgeProbe::unready_refused},
    {&EdgeProbe::closed_poison, &EdgeProbe::unready_poison},
    {&EdgeProbe::closed_tls_failed, &EdgeProbe::unready_tls_failed},
    {&EdgeProbe::closed_peer_closed, &EdgeProbe::unready_peer_closed},
    {&EdgeProbe::closed_cut_off, &EdgeProbe::unready_peer_reset},
}};
static_assert(kCounters.back().after != nullptr, "a CloseReason without a row");

}  // namespace

CloseReason end_of_peer(const Connection& c, CloseReason reason) {
  if (c.state != Connection::State::open) return reason;
  if (c.follower.has_goodbye(base::as_bytes(c.in))) return CloseReason::client;
  return reason == CloseReason::client ? CloseReason::peer_closed : reason;
}

void count_end(EdgeProbe& probe, CloseReason reason, bool logged_in) {
  const Counters& of = kCounters[static_cast<std::size_t>(reason)];
  ++(probe.*(logged_in ? of.after : of.before));
}

}  // namespace berth::gateway::edge
