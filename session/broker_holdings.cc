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

// A device that comes with another client id takes its own place: those of its sessions end whose
// CONNECT is the longest ago.
void Broker::make_place(const Channel& ch, base::Instant now) {
  if (sessions_.by_client(ch.connect->client_id) != nullptr) return;
  std::vector<Session*> own;
  for (const base::SessionId id : sessions_.holdings().full_device(principal_key(ch))) {
    if (Session* s = sessions_.by_id(id)) own.push_back(s);
  }
  std::sort(own.begin(), own.end(),
            [](const Session* a, const Session* b) { return a->epoch < b->epoch; });
  const std::uint32_t most = options_.holdings.per_device;
  for (std::size_t i = 0; i + most <= own.size(); ++i) {
    events::session_replaced(*own[i], ch);
    replace_session(*own[i], ch, now);
  }
}

void Broker::replace_session(Session& s, const Channel& by, base::Instant now) {
  ++probe_.device_replaced;
  if (s.channel != nullptr) take_over(s, by, now);
  // In limbo: as likely our edge has ended as the device, I6.
  const bool ours = std::exchange(s.limbo, false) || (s.will && s.will->ours);
  end_session(s, ours ? WillOf::dropped : WillOf::published, now);
}

}  // namespace berth::session
