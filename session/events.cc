#include "session/events.h"

#include <array>
#include <functional>
#include <string>

#include "base/log.h"
#include "base/log_event.h"
#include "protocol/park/faults.h"
#include "session/peer_tag.h"
#include "session/principal_key.h"

namespace berth::session::events {

using base::LogEvent;
using base::LogKind;
using Outcome = LogKind::Outcome;
using protocol::mqtt::Version;

namespace {

constexpr auto kDebug = base::LogLevel::debug;
constexpr auto kInfo = base::LogLevel::info;
constexpr auto kWarn = base::LogLevel::warn;
constexpr const char* kPart = "session";

const LogKind kConnected{"client connected", kDebug, Outcome::success, kPart};
const LogKind kLoginRefused{"client refused", kWarn, Outcome::failure, kPart, "login"};
const LogKind kThrottled{"client refused", kWarn, Outcome::failure, kPart, "throttled"};
const LogKind kBanned{"client refused", kWarn, Outcome::failure, kPart, "quarantine"};
const LogKind kQuotaRefused{"client refused", kWarn, Outcome::failure, kPart, "quota"};
const LogKind kMalformed{"client refused", kWarn, Outcome::failure, kPart, "protocol_error"};
const LogKind kUnavailable{"client refused", kInfo, Outcome::failure, kPart, "unavailable"};
const LogKind kTakenOver{"session taken over", kInfo, Outcome::success, kPart};
const LogKind kPublishDenied{"publish denied", kWarn, Outcome::failure, kPart};
const LogKind kSubscribeDenied{"subscribe denied", kWarn, Outcome::failure, kPart};
const LogKind kCommandRefused{"command refused", kWarn, Outcome::failure, kPart};
const LogKind kNoReport{"publish is no report", kInfo, Outcome::none, kPart};
const LogKind kReportRefused{"report refused", kWarn, Outcome::failure, kPart};
const LogKind kSubscribed{"client subscribed", kDebug, Outcome::success, kPart};
const LogKind kUnsubscribed{"client unsubscribed", kDebug, Outcome::success, kPart};
const LogKind kRightsLost{"subscription ended", kInfo, Outcome::success, kPart};
const LogKind kOverQuota{"quota exceeded", kWarn, Outcome::failure, kPart};
const LogKind kOverHoldings{"limit exceeded", kWarn, Outcome::failure, kPart};
const LogKind kQueueFull{"queue full", kWarn, Outcome::failure, kPart};
const LogKind kExpired{"session expired", kInfo, Outcome::success, kPart};
const LogKind kRemoved{"session removed", kInfo, Outcome::success, kPart};
const LogKind kReplaced{"session replaced", kInfo, Outcome::success, kPart};

// The end of a connection of one that was let in, by CloseReason. Its cause is the label that
// berth_connection_closed_total has.
struct End {
  LogKind kind;
  Reason code;
  const char* words;
};
LogKind ended_kind(CloseReason r, base::LogLevel level, Outcome o) {
  return {"client disconnected", level, o, kPart, protocol::link::name_of(r)};
}
const End kEnds[] = {
    {ended_kind(CloseReason::client, kInfo, Outcome::success), Reason::success, "DISCONNECT"},
    {ended_kind(CloseReason::peer_reset, kInfo, Outcome::failure), Reason::unspecified_error,
     "the connection broke"},
    {ended_kind(CloseReason::keepalive_timeout, kInfo, Outcome::failure),
     Reason::keep_alive_timeout, "nothing heard for one and a half times the Keep Alive"},
    {ended_kind(CloseReason::handshake_timeout, kInfo, Outcome::failure), Reason::unspecified_error,
     "no CONNECT in time"},
    {ended_kind(CloseReason::protocol_error, kWarn, Outcome::failure), Reason::malformed_packet,
     "malformed: the edge's line of this conn says what"},
    {ended_kind(CloseReason::taken_over, kDebug, Outcome::success), Reason::session_taken_over,
     "another connection uses this client id"},
    {ended_kind(CloseReason::refused, kInfo, Outcome::failure), Reason::not_authorized, "refused"},
    {ended_kind(CloseReason::drained, kDebug, Outcome::success), Reason::server_shutting_down,
     "the gateway ends or hands over"},
    {ended_kind(CloseReason::frame_too_large, kWarn, Outcome::failure), Reason::packet_too_large,
     "a packet above the maximum: the edge's line of this conn says its size"},
    {ended_kind(CloseReason::slow_consumer, kWarn, Outcome::failure), Reason::quota_exceeded,
     "the client does not read, or a packet does not come to its end"},
    {ended_kind(CloseReason::policy, kWarn, Outcome::failure), Reason::administrative_action,
     "a limit, or a decision of an operator"},
    {ended_kind(CloseReason::engine_absent, kWarn, Outcome::failure), Reason::server_unavailable,
     "no engine for longer than engine.absent_max_s"},
    {ended_kind(CloseReason::session_lost, kWarn, Outcome::failure), Reason::session_taken_over,
     "the engine does not know its session any more"},
    {ended_kind(CloseReason::poison, kWarn, Outcome::failure), Reason::banned,
     "engines have died of it"},
    {ended_kind(CloseReason::tls_failed, kInfo, Outcome::failure), Reason::unspecified_error,
     "TLS failed"},
    {ended_kind(CloseReason::peer_closed, kInfo, Outcome::failure), Reason::unspecified_error,
     "the client closed the connection without DISCONNECT"},
    {ended_kind(CloseReason::cut_off, kInfo, Outcome::failure), Reason::unspecified_error,
     "reset: it had not acknowledged the bytes of a command at the command's deadline"},
};
static_assert(std::size(kEnds) == static_cast<std::size_t>(CloseReason::count));

// Where the protocols have different words.
const char* words_of(const Channel& ch, CloseReason cause) {
  if (ch.park && cause == CloseReason::keepalive_timeout)
    return "nothing heard for two and a half times the heartbeat";
  if (ch.park && cause == CloseReason::peer_closed)
    return "the device closed the connection without BYE";
  return kEnds[static_cast<std::size_t>(cause)].words;
}

const char* words_of(Reason r) {
  switch (r) {
    case Reason::malformed_packet:
      return "malformed packet";
    case Reason::unsupported_protocol_version:
      return "this protocol version is not spoken here";
    case Reason::client_identifier_not_valid:
      return "bad client id";
    case Reason::bad_user_name_or_password:
      return "bad user name or password";
    case Reason::not_authorized:
      return "not authorized";
    case Reason::server_unavailable:
      return "not available now";
    case Reason::server_busy:
      return "too many log-ins wait";
    case Reason::banned:
      return "in quarantine: engines have died of it";
    case Reason::server_shutting_down:
      return "the gateway ends";
    case Reason::bad_authentication_method:
      return "this way to log in is not allowed";
    case Reason::session_taken_over:
      return "another connection uses this client id";
    case Reason::topic_filter_invalid:
      return "topic filter not valid";
    case Reason::topic_name_invalid:
      return "topic name not valid";
    case Reason::receive_maximum_exceeded:
      return "more PUBLISHes in flight than announced";
    case Reason::topic_alias_invalid:
      return "topic alias 0 or above the announced maximum";
    case Reason::packet_too_large:
      return "packet above the maximum";
    case Reason::quota_exceeded:
      return "a limit is reached";
    case Reason::administrative_action:
      return "its rights have ended";
    case Reason::connection_rate_exceeded:
      return "too many failed log-ins of this name or address";
    default:
      return "protocol error";
  }
}

std::string_view client_of(const Channel& ch) {
  if (ch.session != nullptr) return client_id_of(ch.session->client_id);
  return ch.connect ? client_id_of(ch.connect->client_id) : std::string_view();
}

std::string_view user_of(const Channel& ch) {
  if (ch.user_name) return *ch.user_name;
  return ch.connect ? std::string_view(ch.connect->user_name) : std::string_view();
}

// A bridge of another partition is no client.
bool is_client(const Channel& ch) {
  if (ch.session != nullptr) return ch.session->peer == 0;
  return !ch.connect || peer_of_client(ch.connect->client_id) == 0;
}

std::uint64_t source_of(const Channel& ch) {
  return base::AddressHash{}(ch.address.site());
}

std::uint64_t source_of(const Session& s) {
  return std::hash<std::string_view>{}(s.client_id);
}

void add_principal(LogEvent& e, const Principal& p, std::string_view site) {
  e.add("tenant", p.tenant).add(p.role == Role::device ? "device" : "account", p.name);
  e.add("site", site);
}

void add_who(LogEvent& e, const Channel& ch) {
  e.add("client", client_of(ch)).add("user", user_of(ch));
  if (ch.scope) add_principal(e, ch.scope->who(), ch.scope->site());
  e.peer(ch.address, ch.peer_port);
}

void add_who(LogEvent& e, const Session& s) {
  e.add("client", client_id_of(s.client_id));
  const std::string_view key = principal_of(s.client_id);
  if (is_registered(key)) {
    add_principal(e, principal_from(key), {});
  } else {
    e.add("user", proven_user_of(key));
  }
}

const char* protocol_of(const Channel& ch) {
  if (ch.park) return "park";
  return ch.version == Version::v5 ? "mqtt5" : ch.version == Version::v31 ? "mqtt3.1" : "mqtt3.1.1";
}

// `said`: the reason is not the code's.
const LogKind& refusal_kind(Reason r, Quota quota, bool said) {
  if (quota != Quota::none) return kQuotaRefused;
  switch (r) {
    case Reason::bad_user_name_or_password:
    case Reason::not_authorized:
    case Reason::bad_authentication_method:
      return kLoginRefused;
    case Reason::connection_rate_exceeded:
      return kThrottled;
    case Reason::banned:  // or disabled in the registry
      return said ? kLoginRefused : kBanned;
    case Reason::quota_exceeded:
      return kQuotaRefused;
    case Reason::server_unavailable:
    case Reason::server_busy:
    case Reason::server_shutting_down:
      return kUnavailable;
    default:
      return kMalformed;
  }
}

unsigned number(Reason r) {
  return static_cast<unsigned>(r);
}

}  // namespace

void connected(const Channel& ch, bool resumed) {
  if (!kConnected.wanted() || !is_client(ch) || !kConnected.admits(source_of(ch))) return;
  LogEvent e(kConnected);
  add_who(e, ch);
  e.add("protocol", protocol_of(ch)).add("session", resumed ? "resumed" : "new");
  e.add("keep_alive_s", ch.keep_alive_s).add("expiry_s", ch.session->asked_expiry_s());
  e.add("queued", ch.session->flow().queued).add("conn", ch.conn.local().packed());
}

void refused(const Channel& ch, Reason reason, Quota quota, std::string_view why) {
  const LogKind& kind = refusal_kind(reason, quota, !why.empty());
  if (!kind.admits(source_of(ch))) return;
  LogEvent e(kind);
  add_who(e, ch);
  e.add("reason", !why.empty() ? why : words_of(reason)).code(number(reason));
  if (quota != Quota::none) e.add("quota", name_of(quota));
  if (&kind == &kBanned && ch.connect) {  // as the quarantine calls it
    const auto& id = ch.connect->settings.principal;
    e.add("principal", fmt::format("{:016x}{:016x}", id.high, id.low));
  }
}

void said_goodbye(const Channel& ch, Reason reason) {
  const LogKind& kind = kEnds[static_cast<std::size_t>(CloseReason::client)].kind;
  if (!is_client(ch) || !kind.admits(source_of(ch))) return;
  LogEvent e(kind);
  add_who(e, ch);
  const bool will = reason != Reason::success;
  e.add("reason", ch.park ? "BYE"
                  : will  ? "DISCONNECT, the will is to be published"
                          : "DISCONNECT");
  e.code(number(reason)).add("conn", ch.conn.local().packed());
}

void ended(const Channel& ch, Reason reason, CloseReason cause, std::string_view why) {
  const End& end = kEnds[static_cast<std::size_t>(cause)];
  const bool refused = !ch.live() && !ch.connect;  // its first packet was none that lets it in
  if (refused && cause == CloseReason::drained) return;
  const LogKind& kind = refused ? kMalformed : end.kind;
  if (!is_client(ch) || !kind.admits(source_of(ch))) return;
  LogEvent e(kind);
  add_who(e, ch);
  const bool known = cause == CloseReason::session_lost || cause == CloseReason::drained;
  e.add("reason", !why.empty() ? why : known ? end.words : words_of(reason)).code(number(reason));
  e.add("conn", ch.conn.local().packed());
}

void edge_closed(const Channel& ch, CloseReason cause) {
  if (cause == CloseReason::client) cause = CloseReason::peer_closed;  // a goodbye has been read
  const End& end = kEnds[static_cast<std::size_t>(cause)];
  if (!is_client(ch) || !end.kind.admits(source_of(ch))) return;
  LogEvent e(end.kind);
  add_who(e, ch);
  e.add("reason", words_of(ch, cause));
  if (end.code != Reason::success && end.code != Reason::unspecified_error)
    e.code(number(end.code));
  e.add("conn", ch.conn.local().packed());
}

void taken_over(const Channel& old, const Channel* by) {
  if (!is_client(old) || !kTakenOver.admits(source_of(old))) return;
  LogEvent e(kTakenOver);
  add_who(e, old);
  if (by != nullptr && by->address != base::Address{})
    e.add("by", by->address.with_port(by->peer_port));
  e.add("reason", words_of(Reason::session_taken_over)).code(number(Reason::session_taken_over));
}

void publish_denied(const Channel& ch, std::string_view topic, int qos) {
  if (!kPublishDenied.admits(source_of(ch))) return;
  LogEvent e(kPublishDenied);
  add_who(e, ch);
  e.add("topic", topic).add("qos", qos).add("reason", "not allowed to publish there");
  e.code(number(Reason::not_authorized));
}

void command_refused(const Channel& ch, std::string_view topic, const Unanswerable& u) {
  if (!kCommandRefused.admits(source_of(ch))) return;
  LogEvent e(kCommandRefused);
  add_who(e, ch);
  e.add("device", u.device).add("topic", topic).add("reason", u.why);
  e.code(number(Reason::topic_name_invalid));
}

void no_report(const Channel& ch, std::string_view topic) {
  if (!kNoReport.wanted() || !kNoReport.admits(source_of(ch))) return;
  LogEvent e(kNoReport);
  add_who(e, ch);
  e.add("topic", topic)
      .add("reason",
           "reports are v1/event/TYPE, v1/telemetry/TYPE, v1/state, v1/cmd/ID/res, "
           "and the same under v1/sub/CHILD/");
}

void report_refused(const Channel& ch, const protocol::park::Frame& f, const char* why) {
  if (!kReportRefused.admits(source_of(ch))) return;
  LogEvent e(kReportRefused);
  add_who(e, ch);
  e.add("type", protocol::park::name_of(f.type)).add("seq", f.seq).add("reason", why);
  e.code(number(Reason::payload_format_invalid));
}

void subscribe_denied(const Channel& ch, std::string_view filter, Reason reason) {
  if (!kSubscribeDenied.admits(source_of(ch))) return;
  LogEvent e(kSubscribeDenied);
  add_who(e, ch);
  const bool rights = reason == Reason::not_authorized;
  e.add("filter", filter).add("reason", rights ? "not allowed to subscribe" : words_of(reason));
  e.code(number(reason));
}

void subscribed(const Channel& ch, std::string_view filter, Reason reason) {
  if (!kSubscribed.wanted() || !kSubscribed.admits(source_of(ch))) return;
  LogEvent e(kSubscribed);
  add_who(e, ch);
  e.add("filter", filter).add("qos", number(reason));
}

void unsubscribed(const Channel& ch, std::string_view filter) {
  if (!kUnsubscribed.wanted() || !kUnsubscribed.admits(source_of(ch))) return;
  LogEvent e(kUnsubscribed);
  add_who(e, ch);
  e.add("filter", filter);
}

void rights_lost(const Session& s, std::string_view filter) {
  if (!kRightsLost.admits(source_of(s))) return;
  LogEvent e(kRightsLost);
  add_who(e, s);
  e.add("filter", filter).add("reason", "rules of access have changed");
  e.code(number(Reason::not_authorized));
}

void over_quota(const Channel& ch, Quota quota, std::string_view topic, const char* what_follows) {
  if (!kOverQuota.admits(source_of(ch))) return;
  LogEvent e(kOverQuota);
  add_who(e, ch);
  e.add("quota", name_of(quota)).add("topic", topic).add("reason", what_follows);
  e.code(number(Reason::quota_exceeded));
}

void over_holdings(const Channel& ch, std::string_view filter, const char* what) {
  if (!kOverHoldings.admits(source_of(ch))) return;
  LogEvent e(kOverHoldings);
  add_who(e, ch);
  e.add("filter", filter).add("reason", what).code(number(Reason::quota_exceeded));
}

void queue_full(const Session& s) {
  if (s.internal() || !kQueueFull.wanted() || !kQueueFull.admits(source_of(s))) return;
  LogEvent e(kQueueFull);
  add_who(e, s);
  e.add("queued", s.flow().queued).add("queued_bytes", s.flow().queued_bytes);
  e.add("reason", "session.queue_messages or queue_bytes, or the tenant's quota, is reached");
  e.code(number(Reason::quota_exceeded));
}

void session_expired(const Session& s) {
  if (s.internal() || !kExpired.admits(0)) return;
  LogEvent e(kExpired);
  add_who(e, s);
  e.add("expiry_s", s.expiry_s).add("queued", s.flow().queued);
  e.add("subscriptions", s.subscriptions.size());
}

void session_removed(const Session& s, const char* why) {
  if (s.internal() || !kRemoved.admits(0)) return;
  LogEvent e(kRemoved);
  add_who(e, s);
  e.add("queued", s.flow().queued).add("reason", why);
  e.code(number(Reason::administrative_action));
}

void session_replaced(const Session& s, const Channel& by) {
  if (!kReplaced.admits(source_of(by))) return;
  LogEvent e(kReplaced);
  add_who(e, s);
  e.add("by", client_of(by)).peer(by.address, by.peer_port);
  e.add("reason", "the device came with another client id: session.per_device");
  e.code(number(Reason::session_taken_over));
}

}  // namespace berth::session::events
