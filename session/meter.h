// What happens when a tenant's or a site's quota is used up: events wait, telemetry is dropped,
// commands and connections are refused. A client of MQTT 5 is told which quota it was. One
// shard, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/quota.h"
#include "session/retained.h"
#include "session/session_table.h"
#include "session/tenant_usage.h"

namespace berth::session {

// What a quota says of a client's message.
struct Metered {
  enum What : std::uint8_t { pass, refuse, wait } what = pass;
  Quota quota = Quota::none;
};

class Meter final : private Room {
 public:
  Meter(Context& cx, Retained& retained, ConnectionTable& connections, TenantUsage& usage,
        SessionTable& sessions)
      : Room(cx),
        retained_(retained),
        connections_(connections),
        usage_(usage),
        sessions_(sessions) {}

  // `wait`: the channel is stalled, and the message is offered again later. `m.topic`: as the
  // client says it.
  Metered publish(Channel& ch, const MessageView& m, base::Instant now);
  // May it be retained? Over the quota it is delivered to present subscribers without the retain
  // flag. One that a dead engine has committed (not `fresh`) is retained, or was refused then.
  bool may_retain(const MessageView& m, bool fresh);
  // Before its session is bound. A replayed CONNECT has been let in before.
  Quota admit_connection(Channel& ch, base::Instant now);
  // What was offered is offered again in the next second.
  void throttle(Channel& ch);
  // Once a second. The connection that was first the last time is not first again.
  void resume_throttled();

 private:
  Retained& retained_;
  ConnectionTable& connections_;
  TenantUsage& usage_;
  SessionTable& sessions_;
  std::vector<base::ConnId> slowed_;  // throttle()
  std::size_t slow_turns_ = 0;
};

}  // namespace berth::session
