// Sessions of the console (docs/console.md): a page has shown its credential once and got a cookie
// for it. What is in the cookie is sealed, and holds the credential: so the cookie is good at each
// process of the gateway and after any restart, and a credential that is taken back ends its
// sessions with the next request. What is kept is a list of the sessions that were ended before
// their time (docs/adr/0028). Values; the server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>

namespace berth::gateway::admin {

inline constexpr const char* kSessionCookie = "berth-session";
inline constexpr const char* kCsrfHeader = "x-berth-csrf";

struct OpenedSession {
  std::string authorization;  // the header of the log-in
  std::string csrf;           // that each request but GET and HEAD has to show in kCsrfHeader
  std::string id;             // 16 bytes, that say nothing of the others
  std::string account;        // AUTH_ID@TENANT, or "admin"
  std::int64_t issued_s = 0;  // Unix time
};
enum class SessionState : std::uint8_t {
  none,    // the gateway did not seal it
  good,    // as far as the cookie goes: its credential is to be checked
  ended,   // it is too old, was logged out, or its credential was taken back
  unknown  // nobody can say it now: try again
};
struct SessionAnswer {
  SessionState state = SessionState::none;
  OpenedSession session = {};  // of a good one
};
// Opens the value of the cookie.
using SessionCheck = std::function<boost::asio::awaitable<SessionAnswer>(std::string)>;
struct Sessions {
  SessionCheck open;
  // Its credential is not good any more.
  std::function<void(const OpenedSession&)> end;
};

// The value of the cookie in a header `Cookie`; empty: it is not there, or there twice.
std::string session_cookie_in(const std::string& header);

}  // namespace berth::gateway::admin
