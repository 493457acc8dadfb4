#include "gateway/edge/edge_events.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "base/log_event.h"
#include "gateway/link/principal_id.h"

namespace berth::gateway::edge::events {

using base::LogEvent;
using base::LogKind;
using protocol::link::CloseReason;
using Outcome = LogKind::Outcome;

namespace {

constexpr auto kDebug = base::LogLevel::debug;
constexpr auto kInfo = base::LogLevel::info;
constexpr auto kWarn = base::LogLevel::warn;
constexpr auto kError = base::LogLevel::err;
constexpr const char* kPart = "edge";

const LogKind kRefused[] = {
    {"connection refused", kWarn, Outcome::failure, kPart, "max_connections"},
    {"connection refused", kWarn, Outcome::failure, kPart, "listener_full"},
    {"connection refused", kWarn, Outcome::failure, kPart, "not_a_proxy"},
    {"connection refused", kWarn, Outcome::failure, kPart, "address_limit"},
    {"connection refused", kError, Outcome::failure, kPart, "no_descriptor"}};
constexpr const char* kWhyRefused[] = {
    "mqtt.max_connections, or what descriptors allow, is reached",
    "the listener's max_connections is reached",
    "its address is not in mqtt.proxies, and the listener expects a PROXY header",
    "mqtt.max_connections_per_address or connects_per_s_per_address is reached",
    "no file descriptor is left"};
const LogKind kTls{"tls failed", kWarn, Outcome::failure, kPart};
const LogKind kProxyHeader{"connection refused", kWarn, Outcome::failure, kPart, "proxy_header"};
const LogKind kUntrusted{"certificate is not good any more", kInfo, Outcome::failure, kPart};
const LogKind kEngineDied{"engine died of client", kWarn, Outcome::failure, kPart};
const LogKind kKeptOut{"connection refused", kWarn, Outcome::failure, kPart, "quarantine"};

// Who ends before its log-in, by CloseReason.
LogKind before_login(CloseReason r, base::LogLevel level) {
  return {"connection closed", level, Outcome::failure, kPart, protocol::link::name_of(r)};
}
const LogKind kEnds[] = {
    before_login(CloseReason::client, kInfo),
    before_login(CloseReason::peer_reset, kInfo),
    before_login(CloseReason::keepalive_timeout, kInfo),
    before_login(CloseReason::handshake_timeout, kInfo),
    before_login(CloseReason::protocol_error, kWarn),
    before_login(CloseReason::taken_over, kDebug),
    before_login(CloseReason::refused, kDebug),  // the engine has said why
    before_login(CloseReason::drained, kDebug),
    before_login(CloseReason::frame_too_large, kWarn),
    before_login(CloseReason::slow_consumer, kWarn),
    before_login(CloseReason::policy, kWarn),
    before_login(CloseReason::engine_absent, kWarn),
    before_login(CloseReason::session_lost, kInfo),
    before_login(CloseReason::poison, kWarn),
    before_login(CloseReason::tls_failed, kDebug),  // said by tls_failed()
    before_login(CloseReason::peer_closed, kInfo),
    before_login(CloseReason::cut_off, kInfo),
};
static_assert(std::size(kEnds) == static_cast<std::size_t>(CloseReason::count));
const LogKind kClosed{"connection closed", kDebug, Outcome::success, kPart};
// Of clients that have logged in, what the edge has found: the engine's line, of the same `conn`,
// names the client.
const LogKind kMalformed{"connection closed", kWarn, Outcome::failure, kPart, "malformed"};
const LogKind kTooLarge{"connection closed", kWarn, Outcome::failure, kPart, "too_large"};
const LogKind kSilent{"connection closed", kDebug, Outcome::success, kPart, "silent"};

constexpr const char* kWords[] = {"closed by the peer before a log-in",
                                  "the connection broke before a log-in",
                                  "no packet in time",
                                  "no CONNECT or HELLO in time",
                                  "what came is not MQTT, not Park, or is malformed",
                                  "taken over",
                                  "refused",
                                  "the gateway ends or hands over",
                                  "the packet is too large for a log-in",
                                  "does not read, or a packet does not come to its end",
                                  "it held most of the memory for connections before their log-in",
                                  "no engine for longer than engine.absent_max_s",
                                  "the engine does not know its session any more",
                                  "engines have died of it",
                                  "TLS failed",
                                  "closed by the peer before a log-in",
                                  "reset at the deadline of a command"};
static_assert(std::size(kWords) == static_cast<std::size_t>(CloseReason::count));

std::uint64_t source_of(const base::Address& a) {
  return base::AddressHash{}(a.site());
}

const LogKind& kind_of(const Connection& c) {
  if (c.connected && c.fault)
    return c.reason == CloseReason::frame_too_large ? kTooLarge : kMalformed;
  if ((c.connected && c.attached) || c.said) return kClosed;
  const bool left = c.reason == CloseReason::client || c.reason == CloseReason::peer_closed ||
                    c.reason == CloseReason::peer_reset;
  const bool silent = c.in_off == c.greeting && c.tls == nullptr && left;
  return silent ? kSilent : kEnds[static_cast<std::size_t>(c.reason)];  // a balancer's probe
}

std::string reason_of(unsigned long error, long verified) {
  const char* text = ERR_reason_error_string(error);
  std::string why = text == nullptr ? "" : text;
  if (why == "wrong version number" || why == "http request") why = "not TLS (" + why + ")";
  if (verified != X509_V_OK) {
    if (!why.empty()) why += ": ";
    why += X509_verify_cert_error_string(verified);
  }
  return why.empty() ? "the peer ended the handshake" : why;
}

}  // namespace

void refused(Refused why, const base::Address& peer, std::uint16_t port, Transport t) {
  const auto i = static_cast<std::size_t>(why);
  if (!kRefused[i].admits(source_of(peer))) return;
  LogEvent e(kRefused[i]);
  e.peer(peer, port).add("listener", name_of(t)).add("reason", kWhyRefused[i]);
}

void ended(const Connection& c) {
  const LogKind& kind = kind_of(c);
  if (!kind.admits(source_of(c.peer))) return;
  LogEvent e(kind);
  if (&kind == &kClosed) e.add("cause", protocol::link::name_of(c.reason));
  e.peer(c.peer, c.peer_port).add("listener", name_of(c.transport));
  if (c.fault) {
    e.add("reason", *c.fault).code(c.reason == CloseReason::frame_too_large ? 0x95 : 0x81);
  } else if (&kind != &kClosed) {
    e.add("reason", kWords[static_cast<std::size_t>(c.reason)]);
  }
  e.add("conn", c.id().packed()).add("rx", c.in_off - c.greeting).add("tx", c.sent);
}

void tls_failed(const Connection& c, std::string_view why) {
  if (!kTls.admits(source_of(c.peer))) return;
  const unsigned long error = ERR_peek_last_error();
  LogEvent e(kTls);
  e.peer(c.peer, c.peer_port).add("listener", name_of(c.transport));
  e.add("reason", why.empty() ? reason_of(error, SSL_get_verify_result(c.tls)) : std::string(why));
  const int reason = ERR_GET_REASON(error);
  if (error != 0 && reason >= SSL_AD_REASON_OFFSET)  // an alert of the peer
    e.add("code", reason - SSL_AD_REASON_OFFSET);
}

void engine_died_of(const Connection& c, const Quarantine::Strike& s) {
  if (!kEngineDied.admits(0)) return;
  LogEvent e(kEngineDied);
  e.add("who", s.name);
  e.peer(c.peer, c.peer_port).add("principal", link::text_of(s.id));
  e.add("conn", c.id().packed());
  e.add("reason", s.at_once ? "the only one it was given" : "the engine was working for it");
}

void untrusted(const Connection& c) {
  if (!kUntrusted.admits(source_of(c.peer))) return;
  LogEvent e(kUntrusted);
  e.peer(c.peer, c.peer_port).add("listener", name_of(c.transport));
  e.add("conn", c.id().packed()).add("reason", "ended, revoked, or its authority is gone");
  e.code(0x87);
}

void kept_out(const Connection& c) {
  if (!kKeptOut.admits(source_of(c.peer))) return;
  LogEvent e(kKeptOut);
  e.peer(c.peer, c.peer_port).add("listener", name_of(c.transport));
  e.add("reason", "engines have died of this address before a log-in").code(0x8a);
}

void refused_proxy_header(const Connection& c) {
  if (!kProxyHeader.admits(source_of(c.peer))) return;
  LogEvent e(kProxyHeader);
  e.peer(c.peer, c.peer_port).add("listener", name_of(c.transport));
  e.add("reason", "no PROXY header, or a malformed one");
}

}  // namespace berth::gateway::edge::events
