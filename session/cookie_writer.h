// What an edge keeps of its connections for the next engine: slots of a cookie, sent with the
// step of the turn in which they have changed (docs/design.md, "Cookies"). A cookie stays below 16
// KiB but for retained messages that are still to be sent: identity 2, topics of aliases 6,
// subscriptions and what is in flight 4 each. One shard, one thread.
#pragma once

#include <string>
#include <vector>

#include "protocol/link/types.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/session.h"
#include "session/session_records.h"

namespace berth::session {

namespace pb {
class VolatileState;
}

class CookieWriter final : private Room {
 public:
  CookieWriter(Context& cx, ConnectionTable& connections, SessionRecords& records)
      : Room(cx), connections_(connections), records_(records) {}

  bool any_changed() const { return !dirty_.empty(); }

  // The slot is sent at the end of the turn; nothing is sent where no edge outlives the engine.
  void changed(Channel& ch, protocol::link::CookieSlot slot);
  void flush();

 private:
  std::string encode_identity(Channel& ch);
  std::string encode(Channel& ch, protocol::link::CookieSlot slot);
  void subscriptions_to_pb(const Session& s, pb::VolatileState& v);
  std::string encode_subscriptions(const Session& s);
  std::string encode_volatile(Channel& ch);

  ConnectionTable& connections_;
  SessionRecords& records_;
  std::vector<base::ConnId> dirty_;
};

}  // namespace berth::session
