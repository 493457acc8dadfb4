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

}  // namespace berth::session
