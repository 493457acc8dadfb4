// Sessions of the console (docs/console.md): a page has shown its credential once and got a cookie
// for it. What is in the cookie is sealed, and holds the credential: so the cookie is good at each
// process of the gateway and after any restart, no table of sessions is kept, and a credential that
// is taken back ends its sessions with the next request. Values; the server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>

namespace berth::gateway::admin {

inline constexpr const char* kSessionCookie = "berth-session";
inline constexpr const char* kCsrfHeader = "x-berth-csrf";

struct OpenedSession {
  std::string authorization;  // the header of the log-in
  std::string csrf;           // that each request but GET and HEAD has to show in kCsrfHeader
};
// Opens the value of the cookie. Nothing: the gateway did not seal it, it is too old, or the key
// can't be had now.
using SessionCheck =
    std::function<boost::asio::awaitable<std::optional<OpenedSession>>(std::string)>;

// The value of the cookie in a header `Cookie`; empty: it is not there, or there twice.
std::string session_cookie_in(const std::string& header);

}  // namespace berth::gateway::admin
