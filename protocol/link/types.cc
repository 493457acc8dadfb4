#include "protocol/link/types.h"

namespace berth::protocol::link {

// FNV-1a, its bits mixed once more: neighbouring ids end up apart.
std::uint64_t hash_of(std::string_view client_id) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : client_id) h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
  return h ^ (h >> 33);
}

const char* name_of(CloseReason reason) {
  switch (reason) {
    case CloseReason::client:
      return "client";
    case CloseReason::peer_reset:
      return "peer_reset";
    case CloseReason::keepalive_timeout:
      return "keepalive_timeout";
    case CloseReason::handshake_timeout:
      return "handshake_timeout";
    case CloseReason::protocol_error:
      return "protocol_error";
    case CloseReason::taken_over:
      return "taken_over";
    case CloseReason::refused:
      return "refused";
    case CloseReason::drained:
      return "drained";
    case CloseReason::frame_too_large:
      return "frame_too_large";
    case CloseReason::slow_consumer:
      return "slow_consumer";
    case CloseReason::policy:
      return "policy";
    case CloseReason::engine_absent:
      return "engine_absent";
    case CloseReason::session_lost:
      return "session_lost";
    case CloseReason::poison:
      return "poison";
    case CloseReason::tls_failed:
      return "tls_failed";
    case CloseReason::peer_closed:
      return "peer_closed";
    case CloseReason::cut_off:
      return "cut_off";
    case CloseReason::count:
      break;
  }
  return "unknown";
}

CloseReason known_to_the_release_before(CloseReason reason) {
  if (reason == CloseReason::peer_closed) return CloseReason::client;
  return reason == CloseReason::cut_off ? CloseReason::peer_reset : reason;
}

const char* name_of(Fate fate) {
  switch (fate) {
    case Fate::dropped:
      return "dropped";
    case Fate::written:
      return "written";
    case Fate::stale:
      return "stale";
    case Fate::cut_off:
      return "cut_off";
    case Fate::count:
      break;
  }
  return "unknown";
}

void join_subscriptions(Cookie& cookie) {
  std::string& slot = cookie[static_cast<std::size_t>(CookieSlot::subscriptions)];
  cookie[static_cast<std::size_t>(CookieSlot::volatile_state)] += slot;
  slot.clear();
}

}  // namespace berth::protocol::link
