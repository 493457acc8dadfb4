#include "session/rights.h"

#include <memory>

#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

using protocol::link::CloseReason;
using protocol::link::CookieSlot;
using protocol::mqtt::Reason;

namespace {

constexpr const char* kRemoved = "it is removed from the registry";
constexpr const char* kByOperator = "an operator has ended it";

// Why a credential that was good is not any more.
const char* credential_end(const Principals& registry, const Principal& who,
                           std::string_view credential) {
  const bool removed = registry.credential_until(who, credential).ms == 0;
  return removed ? "its credential is removed, or its tenant has another authority now"
                 : "its credential has expired";
}

}  // namespace

std::vector<base::SessionId> Rights::concerned(const Concerned& who,
                                               std::vector<base::SessionId>& removed) {
  if (who.everybody || !who.tenants.empty()) usage_.accounts().refresh();
  std::vector<base::SessionId> ids;
  const auto add = [&](const Session& s) {
    const std::string_view key = principal_of(s.client_id);
    if (!is_registered(key)) return;
    (who.has_removed(key) && !s.limbo ? removed : ids).push_back(s.id);
  };
  if (who.everybody) {
    for (const Session* s : sessions_.all()) add(*s);
    return ids;
  }
  for (const std::string& tenant : who.tenants) sessions_.each_of_tenant(tenant, add);
  for (const std::string& key : who.principals) {
    if (!who.tenants.contains(tenant_of(key))) sessions_.each_of(key, add);
  }
  return ids;
}

void Rights::review_scopes(const Principals& registry, const std::vector<base::SessionId>& sessions,
                           base::Instant now) {
  std::vector<Session*> gone;
  for (const base::SessionId id : sessions) {
    Session* const s = sessions_.by_id(id);
    if (s == nullptr) continue;
    const std::string_view key = principal_of(s->client_id);
    Channel* ch = s->channel;
    const WorksFor scope_of_work = works_for(ch == nullptr ? base::kNoConn : ch->conn);
    if (ch == nullptr || !ch->scope) {
      if (!s->limbo && !registry.exists(key)) gone.push_back(s);
      continue;
    }
    ScopePtr scope = registry.scope_of(ch->scope->who());
    const bool moved = scope && scope->site() != ch->scope->site();
    if (moved || !registry.exists(key)) {
      gone.push_back(s);
    } else if (!scope || !credential_good(*ch, now)) {
      ++probe_.scopes_ended;
      clients_.fail(*ch, Reason::administrative_action, CloseReason::policy,
                    !scope ? registry.why_ended(ch->scope->who())
                           : credential_end(registry, ch->scope->who(), ch->credential->id));
    } else if (*scope != *ch->scope) {
      use_scope(*ch, std::move(scope));
    }
  }
  for (Session* s : gone) {
    const bool there = registry.exists(principal_of(s->client_id));
    life_.remove_session(*s, there ? "it is at another site now" : kRemoved, now);
  }
}

void Rights::remove_sessions(const std::vector<base::SessionId>& sessions, base::Instant now) {
  for (const base::SessionId id : sessions) {
    Session* const s = sessions_.by_id(id);
    if (s == nullptr) continue;
    const WorksFor scope = works_for(s->channel == nullptr ? base::kNoConn : s->channel->conn);
    life_.remove_session(*s, kRemoved, now);
  }
}

bool Rights::disconnect(base::SessionId id) {
  const Session* const s = sessions_.by_id(id);
  if (s == nullptr || s->channel == nullptr) return false;
  const WorksFor scope = works_for(s->channel->conn);
  s->channel->by_operator = true;
  clients_.fail(*s->channel, Reason::administrative_action, CloseReason::policy, kByOperator);
  return true;
}

bool Rights::remove(base::SessionId id, base::Instant now) {
  Session* const s = sessions_.by_id(id);
  if (s == nullptr) return false;
  const WorksFor scope = works_for(s->channel == nullptr ? base::kNoConn : s->channel->conn);
  life_.remove_session(*s, kByOperator, now);
  return true;
}

// Another one of the same device or account.
void Rights::use_scope(Channel& ch, ScopePtr scope) {
  ch.scope = std::move(scope);
  if (ch.park) ch.park->origin.clear();
  cookies_.changed(ch, CookieSlot::identity);
  if (!subscriptions_.revoke_by_scope(*ch.session, *ch.scope)) return;
  if (subscriptions_.keeps_filters(*ch.session)) records_.put(*ch.session);
  if (!ch.session->persistent()) subscriptions_.changed(ch);
}

std::vector<base::SessionId> Rights::under_access() const {
  std::vector<base::SessionId> ids;
  sessions_.each_of_tenant({}, [&ids](const Session& s) { ids.push_back(s.id); });
  return ids;
}

void Rights::review_access(const std::vector<base::SessionId>& sessions,
                           const std::function<bool(std::string_view user)>& is_user) {
  for (const base::SessionId id : sessions) {
    Session* const s = sessions_.by_id(id);
    if (s == nullptr) continue;
    const std::string_view user = proven_user_of(principal_of(s->client_id));
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

// False: the credential it came in with is not good any more.
bool Rights::credential_good(Channel& ch, base::Instant now) {
  if (usage_.registry() == nullptr || !ch.scope || !ch.credential) return true;
  const base::Instant until =
      usage_.registry()->credential_until(ch.scope->who(), ch.credential->id);
  if (until <= clocks_.wall_at(now)) return false;
  if (until != base::kNever && until != ch.credential->until)
    credentials_due_.push({until.ms, ch.conn.packed()});
  ch.credential->until = until;
  return true;
}

void Rights::end_credentials(base::Instant now) {
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
