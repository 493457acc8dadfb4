// Who is registered, and what of that follows for connections, topics and sessions (scope.h).
#include "protocol/mqtt/topic.h"
#include "session/broker.h"
#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

static constexpr const char* kRemoved = "it is removed from the registry";

// Why a credential that was good is not any more.
static const char* credential_end(const Principals& registry, const Principal& who,
                                  std::string_view credential) {
  const bool removed = registry.credential_until(who, credential).ms == 0;
  return removed ? "its credential is removed, or its tenant has another authority now"
                 : "its credential has expired";
}

// After a good login: whose session it is to be, and whether its will may be said.
Reason Broker::admit(Channel& ch, AuthResult& result) {
  PendingConnect& c = *ch.connect;
  ch.scope = std::move(result.scope);
  if (ch.scope && !result.credential.empty())
    ch.credential = std::make_unique<CredentialUse>(CredentialUse{std::move(result.credential)});
  ch.user_proven = !ch.scope && result.user_proven && !c.user_name.empty();
  const auto refuse = [&result](std::string_view why) {
    result.why = why;
    return Reason::not_authorized;
  };
  if (c.user_name.find('\0') != std::string::npos) return refuse("user name with U+0000");
  if (ch.park && ch.scope && ch.scope->who().role != Role::device)
    return refuse("the Park protocol is for devices");
  // Whoever has killed engines (I12).
  const Effects::Standing standing = effects_.standing_of(
      principal_key(ch), ch.scope ? std::string_view(ch.scope->who().tenant) : std::string_view(),
      c.settings);
  if (standing == Effects::Standing::banned) return Reason::banned;
  if (standing == Effects::Standing::slow_down) {
    result.why = "its tenant logs in slowly: engines have died of its devices";
    result.retry_after_ms = 1000;
    return Reason::connection_rate_exceeded;
  }
  c.settings.anonymous = !ch.scope && !ch.user_proven;
  if (!gate_.admit_will(ch)) return refuse("not allowed to publish to the topic of its will");
  const std::string said = std::move(c.client_id);
  c.client_id = session_key(ch, said);
  if (ch.user_proven) sessions_.adopt_unowned(said, c.client_id);
  return Reason::success;
}

std::vector<base::SessionId> Broker::concerned(const Concerned& who,
                                               std::vector<base::SessionId>& removed) {
  usage_.accounts().refresh();
  std::vector<base::SessionId> ids;
  for (const Session* s : sessions_.all()) {
    const std::string_view key = principal_of(s->client_id);
    if (!is_registered(key) || !who.has(key)) continue;
    (who.has_removed(key) && !s->limbo ? removed : ids).push_back(s->id);
  }
  return ids;
}

void Broker::review_scopes(const Principals& registry, const std::vector<base::SessionId>& sessions,
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

// Another one of the same device or account.
void Broker::use_scope(Channel& ch, ScopePtr scope) {
  ch.scope = std::move(scope);
  if (ch.park) ch.park->origin.clear();
  cookies_.changed(ch, CookieSlot::identity);
  if (!subscriptions_.revoke_by_scope(*ch.session, *ch.scope)) return;
  if (subscriptions_.keeps_filters(*ch.session)) records_.put(*ch.session);
  if (!ch.session->persistent()) subscriptions_.changed(ch);
}

void Broker::remove_sessions(const std::vector<base::SessionId>& sessions, base::Instant now) {
  for (const base::SessionId id : sessions) {
    Session* const s = sessions_.by_id(id);
    if (s == nullptr) continue;
    const WorksFor scope = works_for(s->channel == nullptr ? base::kNoConn : s->channel->conn);
    life_.remove_session(*s, kRemoved, now);
  }
}

}  // namespace berth::session
