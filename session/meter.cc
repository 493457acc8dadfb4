#include "session/meter.h"

#include <algorithm>
#include <utility>

#include "session/command_topic.h"
#include "session/events.h"

namespace berth::session {

namespace {

// Of a device's own topics: what may be lost (telemetry), by name or because it asked for
// no more than that.
bool is_telemetry(const MessageView& m) {
  if (m.topic.starts_with("v1/telemetry/")) return true;
  const bool kept =
      m.topic.starts_with("v1/event/") || m.topic == "v1/state" || m.topic.starts_with("v1/cmd/");
  return m.qos == 0 && !kept;
}

}  // namespace

Metered Meter::publish(Channel& ch, const MessageView& m, base::Instant now) {
  Account* a = ch.session->account;
  if (a == nullptr) return {};
  const bool device = ch.scope && ch.scope->who().role == Role::device;
  if (!device && is_command(m.topic)) {
    const Quota q = a->command(now);
    if (q != Quota::none) return {Metered::refuse, q};
  }
  const Quota q = a->message(m.topic.size() + m.payload.size(), now);
  if (q == Quota::none) {
    ch.slow_counted = false;
    return {};
  }
  if (device) sessions_.limited(ch, q);
  if (device && is_telemetry(m)) {
    a->count(&Usage::dropped, 1);
    ++probe_.drop_quota;
    return {Metered::refuse, q};
  }
  if (!std::exchange(ch.slow_counted, true)) {
    a->count(&Usage::slowed, 1);
    ++probe_.quota_slowed;
    events::over_quota(ch, q, m.topic, "its messages wait");
  }
  throttle(ch);
  return {Metered::wait, q};
}

// May it be retained? If not it goes to those who are there, as one that is not retained. One that
// a dead engine has committed (not `fresh`) is, or it was refused then.
bool Meter::may_retain(const MessageView& m, bool fresh) {
  if (!m.retain || m.payload.empty() || retained_.contains(m.topic)) return m.retain;
  if (!fresh) return false;
  Account* a = usage_.account_of(m.topic);
  if (a == nullptr || a->retained_have_room()) return true;
  a->count(&Usage::dropped, 1);
  ++probe_.drop_retained_full;
  return false;
}

// Before its session is bound. A replayed CONNECT has been let in before.
Quota Meter::admit_connection(Channel& ch, base::Instant now) {
  if (!ch.scope) return Quota::none;
  const Session* s = sessions_.by_client(ch.connect->client_id);
  if (s != nullptr && s->stored && connections_.owned_by(*s, ch)) return Quota::none;
  Account& a = usage_.accounts().of(ch.scope->who().tenant, ch.scope->site());
  const bool takes_over = s != nullptr && s->channel != nullptr;  // one goes, one comes
  if (takes_over) a.count(&Usage::connections, -1);
  const Quota q = a.admit(s == nullptr, ch.scope->who().role != Role::device, now);
  if (takes_over) a.count(&Usage::connections, 1);
  return q;
}

// What was offered is offered again then.
void Meter::throttle(Channel& ch) {
  if (!std::exchange(ch.slowed, true)) slowed_.push_back(ch.conn);
  stall(ch);
}

// Once a second. Whoever was first the last time is not again.
void Meter::resume_throttled() {
  std::vector<base::ConnId> all = std::exchange(slowed_, {});
  if (all.empty()) return;
  std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(++slow_turns_ % all.size()),
              all.end());
  for (const base::ConnId conn : all) {
    Channel* ch = connections_.find(conn);
    if (ch == nullptr) continue;
    ch->slowed = false;
    if (ch->live() && ch->stalled && !gated(*ch)) connections_.unstall(*ch);
  }
}

}  // namespace berth::session
