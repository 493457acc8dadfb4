#include "platform/causes.h"

#include <array>

namespace berth::platform {

using protocol::link::CloseReason;
using session::Offline;

const char* name_of(Cause c) {
  static constexpr std::array<const char*, kCauses> kNames{
      "",           "goodbye",  "keep_alive", "connection_lost", "protocol_error", "slow_consumer",
      "taken_over", "disabled", "policy",     "gateway",         "parent", "operator", "quarantine"};
  const auto i = static_cast<std::size_t>(c);
  return i < kNames.size() ? kNames[i] : "";
}

Cause cause_of(Offline offline, CloseReason why) {
  switch (offline) {
    case Offline::disconnect:
      return Cause::goodbye;
    case Offline::taken_over:
      return Cause::taken_over;
    case Offline::removed:
      return Cause::disabled;
    case Offline::edge_lost:
      return Cause::gateway;
    case Offline::kicked:
      return Cause::kicked;
    case Offline::us:
      if (why == CloseReason::poison) return Cause::quarantine;
      return why == CloseReason::policy ? Cause::policy : Cause::gateway;
    case Offline::device:
      break;
  }
  switch (why) {
    case CloseReason::keepalive_timeout:
      return Cause::keep_alive;
    case CloseReason::protocol_error:
    case CloseReason::frame_too_large:
      return Cause::protocol_error;
    case CloseReason::slow_consumer:
      return Cause::slow_consumer;
    default:
      return Cause::connection_lost;
  }
}

}  // namespace berth::platform
