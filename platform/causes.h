// Why a device has no connection any more, as its platform is told. Stored: append only.
#pragma once

#include <cstdint>

#include "protocol/link/types.h"
#include "session/session_events.h"

namespace berth::platform {

enum class Cause : std::uint8_t {
  none = 0,
  goodbye = 1,          // DISCONNECT or BYE
  keep_alive = 2,       // nothing heard for too long
  connection_lost = 3,  // reset, or closed without a goodbye
  protocol_error = 4,
  slow_consumer = 5,  // it did not read
  taken_over = 6,     // another connection uses its client id
  disabled = 7,       // in the registry, or removed from it
  policy = 8,         // a limit; of a release before also what operator and quarantine are
  gateway = 9,        // ours: edge gone or out of reach, drain, no engine for too long
  parent = 10,        // the device it is behind
  kicked = 11,        // an operator has ended it
  quarantine = 12     // its input had killed engines
};
inline constexpr unsigned kCauses = 13;

const char* name_of(Cause c);
Cause cause_of(session::Offline offline, protocol::link::CloseReason why);
// The gateway has ended the connection, or can't reach it.
inline bool is_ours(Cause c) {
  return c == Cause::gateway;
}

}  // namespace berth::platform
