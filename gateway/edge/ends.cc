#include "gateway/edge/ends.h"

#include <array>
#include <cstddef>

#include "base/bytes.h"

namespace berth::gateway::edge {

namespace mqtt = protocol::mqtt;
namespace park = protocol::park;
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
}};

// What is kept of the input begins at a packet.
bool has_goodbye(const Connection& c) {
  constexpr std::size_t kAny = SIZE_MAX;
  base::ByteView rest = base::as_bytes(c.in);
  if (c.speaks_park()) {
    park::Frame f;
    while (park::next_frame(rest, kAny, f) == park::FrameStatus::complete) {
      if (f.type == park::FrameType::bye) return true;
      rest = rest.subspan(f.size);
    }
    return false;
  }
  mqtt::Frame f;
  while (mqtt::next_frame(rest, kAny, f) == mqtt::FrameStatus::complete) {
    if (f.type() == mqtt::PacketType::disconnect) return true;
    rest = rest.subspan(f.size);
  }
  return false;
}

}  // namespace

bool has_whole_packet(const Connection& c) {
  const base::ByteView bytes = base::as_bytes(c.in);
  if (bytes.empty()) return false;
  if (c.speaks_park()) {
    park::Frame f;
    return park::next_frame(bytes, SIZE_MAX, f) != park::FrameStatus::need_more;
  }
  mqtt::Frame f;
  return mqtt::next_frame(bytes, SIZE_MAX, f) != mqtt::FrameStatus::need_more;
}

CloseReason end_of_peer(const Connection& c, CloseReason reason) {
  if (c.state != Connection::State::open) return reason;
  if (has_goodbye(c)) return CloseReason::client;
  return reason == CloseReason::client ? CloseReason::peer_closed : reason;
}

void count_end(EdgeProbe& probe, CloseReason reason, bool logged_in) {
  const Counters& of = kCounters[static_cast<std::size_t>(reason)];
  ++(probe.*(logged_in ? of.after : of.before));
}

}  // namespace berth::gateway::edge
