// What sessions hold (holdings.h): what is refused because of it, whose session makes place, and
// the part of it that cookies carry. A cookie stays below 16 KiB but for retained messages that are
// still to be sent: identity 2, topics of aliases 6, subscriptions and what is in flight 4 each.
#include <algorithm>

#include "session/broker.h"
#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

using protocol::link::CookieSlot;
using protocol::mqtt::Reason;

namespace {}  // namespace

// After a good login: may its will be kept, and a session for it? A replayed CONNECT has been let
// in before.
Reason Broker::admit_holdings(Channel& ch) {
  PendingConnect& c = *ch.connect;
  const Session* s = sessions_.by_client(c.client_id);
  if (s != nullptr && s->peer != 0) return Reason::success;
  const bool replayed = s != nullptr && s->stored && connections_.owned_by(*s, ch);
  const std::string who = principal_key(ch);
  if (c.will) {
    const Cost cost = cost_of(*c.will);
    const bool resumes = s != nullptr && s->persistent() && !c.clean_start;
    Holding held(sessions_.holdings(), who);
    const std::uint32_t filters = resumes ? s->held.bytes() : 0;
    if (!replayed && !held.has_room({cost.bytes + filters, cost.memory})) {
      ++probe_.refused_wills;
      return Reason::quota_exceeded;
    }
    held.keep(cost);
    c.will->held = std::move(held);
  }
  if (s != nullptr || sessions_.holdings().may_begin(who, sessions_.size(), options_.sessions_max))
    return Reason::success;
  ++probe_.refused_sessions;
  return Reason::quota_exceeded;
}

}  // namespace berth::session
