// Rights that have changed since somebody came in: rules of access, users, credentials. What is not
// allowed any more ends at once, when a session is resumed, and when a new engine begins.
#include <algorithm>

#include "protocol/mqtt/topic.h"
#include "session/broker.h"
#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {

// The proven user name of a session's key; empty: anonymous.
std::string_view user_of(std::string_view session_key) {
  return proven_user_of(principal_of(session_key));
}

}  // namespace

std::vector<base::SessionId> Broker::under_access() const {
  std::vector<base::SessionId> ids;
  for (const Session* s : sessions_.all()) {
    if (s->peer == 0 && !is_registered(principal_of(s->client_id))) ids.push_back(s->id);
  }
  return ids;
}

void Broker::review_access(const std::vector<base::SessionId>& sessions,
                           const std::function<bool(std::string_view user)>& is_user) {
  for (const base::SessionId id : sessions) {
    Session* const s = sessions_.by_id(id);
    if (s == nullptr) continue;
    const std::string_view user = user_of(s->client_id);
    Channel* ch = s->channel;
    const WorksFor scope = works_for(ch == nullptr ? base::kNoConn : ch->conn);
    if (ch != nullptr && !user.empty() && is_user && !is_user(user)) {
      ++probe_.rights_ended;
      clients_.fail(*ch, Reason::administrative_action, CloseReason::policy,
                    "the user may not log in any more: it is removed, or has another password");
      continue;
    }
    if (!subscriptions_.revoke_by_rules(*s)) continue;
    if (subscriptions_.keeps_filters(*s)) records_.put(*s);
    if (ch != nullptr && !s->persistent()) subscriptions_.changed(*ch);
  }
}

// -- credentials of who is registered

// False: the credential it came in with is not good any more.
bool Broker::credential_good(Channel& ch, base::Instant now) {
  if (usage_.registry() == nullptr || !ch.scope || !ch.credential) return true;
  const base::Instant until =
      usage_.registry()->credential_until(ch.scope->who(), ch.credential->id);
  if (until <= clocks_.wall_at(now)) return false;
  if (until != base::kNever && until != ch.credential->until)
    credentials_due_.push({until.ms, ch.conn.packed()});
  ch.credential->until = until;
  return true;
}

void Broker::end_credentials(base::Instant now) {
  while (!credentials_due_.empty() && credentials_due_.top().first <= clocks_.wall_at(now).ms) {
    Channel* ch = connections_.find(base::ConnId::from_packed(credentials_due_.top().second));
    const std::int64_t at = credentials_due_.top().first;
    credentials_due_.pop();
    const WorksFor scope = works_for(ch == nullptr ? base::kNoConn : ch->conn);
    if (ch == nullptr || !ch->live() || !ch->credential || ch->credential->until.ms != at) continue;
    if (credential_good(*ch, now)) continue;
    ++probe_.rights_ended;
    clients_.fail(*ch, Reason::administrative_action, CloseReason::policy,
                  "its credential has expired");
  }
}

}  // namespace berth::session
