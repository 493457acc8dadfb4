#include "session/login.h"

#include <string>
#include <utility>

#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

using protocol::link::CookieSlot;
using protocol::mqtt::Reason;

namespace {

// The registry may have changed since its log-in; a review looks at sessions, and it has none yet.
bool still_registered(Channel& ch, const Principals* registry) {
  if (registry == nullptr || !ch.scope) return true;
  ScopePtr scope = registry->scope_of(ch.scope->who());
  if (!scope) return false;
  ch.scope = std::move(scope);
  return true;
}

}  // namespace

void Login::authenticated(base::ConnId conn, AuthResult result, base::Instant now) {
  Channel* ch = connections_.find(conn);
  const bool waits = ch != nullptr && ch->state == Channel::State::authenticating && ch->connect;
  if (!waits || ch->session != nullptr) return;
  const WorksFor scope = works_for(conn);
  if (result.reason == Reason::success) result.reason = admit(*ch, result);
  if (result.reason == Reason::banned) {
    ++probe_.connect_banned;
    return refuse(*ch, result.reason, Quota::none, result.why);
  }
  if (result.reason != Reason::success) {
    const bool throttled = result.reason == Reason::connection_rate_exceeded;
    ++(throttled ? probe_.connect_throttled : probe_.connect_unauthorized);
    return refuse(*ch, result.reason, Quota::none, result.why,
                  {result.limit, result.retry_after_ms});
  }
  if (const Reason held = admit_holdings(*ch); held != Reason::success) {
    ++probe_.connect_quota;
    return refuse(*ch, held, Quota::none,
                  "too many sessions, or its will and filters take too many bytes");
  }
  life_.use_fair_key(*ch);
  if (writes_record(*ch) && !may_write_record(*ch)) return;
  let_in(*ch, now);
}

// After a good login: whose session it is to be, and whether its will may be said.
Reason Login::admit(Channel& ch, AuthResult& result) {
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
  if (const char* fault = translator_.will_fault(ch)) return refuse(fault);
  if (!gate_.admit_will(ch)) return refuse("not allowed to publish to the topic of its will");
  const std::string said = std::move(c.client_id);
  c.client_id = session_key(ch, said);
  if (ch.user_proven) sessions_.adopt_unowned(said, c.client_id);
  return Reason::success;
}

// After a good login: may its will be kept, and a session for it? A replayed CONNECT has been let
// in before.
Reason Login::admit_holdings(Channel& ch) {
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

// After the check of who it is, and at its turn to write a record.
void Login::let_in(Channel& ch, base::Instant now) {
  const Session* s = sessions_.by_client(ch.connect->client_id);
  if (s != nullptr && s->channel != nullptr && s->persistent() &&
      wide_fanouts_.has_unstaged(*s->channel)) {
    ch.room_line = Channel::RoomLine::waits;
    may_have_work_ = true;
    return room_line_.push(ch.fair_key, ch.conn);
  }
  if (wills_.draining()) {
    ++probe_.connect_unavailable;
    return refuse(ch, Reason::server_unavailable);
  }
  life_.make_place(ch, now);
  if (const Quota q = meter_.admit_connection(ch, now); q != Quota::none) {
    ++probe_.connect_quota;
    const bool rate = q == Quota::connects;
    return refuse(ch, rate ? Reason::connection_rate_exceeded : Reason::quota_exceeded, q, {},
                  {.limit = {}, .after_ms = rate ? 1000u : 0u});
  }
  establish(ch, now);
  if (ch.live() && ch.stalled) {  // the answer came later than its CONNECT
    effects_.acknowledge(ch.conn, ch.in_off);
    connections_.unstall(ch);
  }
}

// May its CONNECT write records? Not where old and new session have expiry 0 and no will.
bool Login::writes_record(const Channel& ch) const {
  if (connections_.edges()[ch.conn.link()].internal) return false;
  const PendingConnect& c = *ch.connect;
  const Session* s = sessions_.by_client(c.client_id);
  return c.expiry_s != 0 || c.will || (s != nullptr && (s->stored || s->will));
}

// False: its session's record has to wait for a batch with room, behind those that wait already.
bool Login::may_write_record(Channel& ch) {
  using RoomLine = Channel::RoomLine;
  const bool called = std::exchange(ch.room_line, RoomLine::none) == RoomLine::called;
  if (commits_.has_room() && (called || room_line_.empty())) return true;
  ch.room_line = RoomLine::waits;
  if (ch.state != Channel::State::authenticating) ch.resting = true;
  may_have_work_ = true;
  room_line_.push(ch.fair_key, ch.conn);
  return false;
}

// So many that the batch stays below twice its bytes: what a session may hold is 64 KiB by default.
void Login::call_some(base::Instant now) {
  constexpr int kAtOnce = 16;
  for (int n = 0; n < kAtOnce && !room_line_.empty() && commits_.has_room(); ++n) {
    const base::ConnId conn = room_line_.pop();
    Channel* ch = connections_.find(conn);
    if (ch == nullptr || ch->room_line != Channel::RoomLine::waits)
      continue;  // another one's place
    const WorksFor scope = works_for(conn);
    const bool connects = ch->state == Channel::State::authenticating;
    ch->room_line = connects ? Channel::RoomLine::none : Channel::RoomLine::called;
    if (!connects) {
      effects_.resume(conn);
    } else if (still_registered(*ch, usage_.registry())) {
      let_in(*ch, now);
    } else {
      ++probe_.connect_unauthorized;
      refuse(*ch, protocol::mqtt::Reason::not_authorized, Quota::none,
             "its device or account was removed while its CONNECT waited");
    }
  }
}

void Login::establish(Channel& ch, base::Instant now) {
  bool present = false;
  const std::size_t before = commits_.writes();
  Session& s = life_.claim(ch, present, now);
  const bool was_stored = s.stored;
  life_.apply_connect(ch, s, now);
  s.session_present = present;
  life_.bind(ch, s);
  if (present) subscriptions_.review_resumed(ch);
  rights_.credential_good(ch, now);  // it has just been looked at; for when it ends
  ch.port->bound(ch, s, present, now);
  if (s.persistent() || s.will || was_stored) records_.put(s);
  answer_connect(ch, present, commits_.writes() != before, now);
}

// When it is durable; and what subscribes with it (Park) when all partitions know of it.
void Login::answer_connect(Channel& ch, bool present, bool wrote, base::Instant now) {
  const bool subscribes = ch.park != nullptr;
  const bool routes = !subscribes || route_book_.known();
  if (!wrote && routes) return go_live(ch, present, now);
  stall(ch);
  const auto answer = [this, conn = ch.conn, present](base::Instant t) {
    Channel* c = connections_.find(conn);
    if (c != nullptr && c->state == Channel::State::authenticating && c->session != nullptr) {
      go_live(*c, present, t);
    }
  };
  if (!wrote) return route_book_.await(ch, answer, false, now);
  commits_.defer_call(ch, [this, answer, subscribes, conn = ch.conn](base::Instant t) {
    Channel* c = connections_.find(conn);
    if (!subscribes || route_book_.known() || c == nullptr) return answer(t);
    route_book_.await(*c, answer, true, t);
  });
}

void Login::go_live(Channel& ch, bool present, base::Instant now) {
  if (!ch.port->accept(ch, present, now)) return;
  ++probe_.connect_ok;
  protocol::link::EdgeSettings settings = ch.connect->settings;
  settings.connected = true;
  settings.version = ch.port->level(ch);
  settings.keep_alive_s = ch.keep_alive_s;
  effects_.connected(ch.conn, settings);
  ch.connect.reset();
  ch.state = Channel::State::live;
  ch.connack_sent = true;
  events::connected(ch, present);
  cookies_.changed(ch, CookieSlot::identity);
  if (ch.session->flow_)
    cookies_.changed(ch, CookieSlot::sent_seq);  // where this connection begins
  if (!ch.session->persistent()) {
    cookies_.changed(ch, CookieSlot::volatile_state);
    subscriptions_.changed(ch);
  }
  queues_.pump(*ch.session, now);
}

}  // namespace berth::session
