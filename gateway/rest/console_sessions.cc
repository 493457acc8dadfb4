#include "gateway/rest/console_sessions.h"

#include <boost/json.hpp>
#include <charconv>
#include <memory>
#include <utility>

#include "base/random_id.h"
#include "base/text.h"
#include "base/wall_clock.h"
#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/unanswered.h"

namespace berth::gateway::rest {

namespace json = boost::json;
using admin::OpenedSession;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;

namespace {

constexpr ListKind kSession{"console_session", 64, false, 2000};
constexpr std::size_t kAuthorizationMax = 1100;  // of a cookie that every browser keeps

std::int64_t now_s() {
  return base::wall_time().ms / 1000;
}

std::string random_hex() {
  std::string bytes;
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t r = base::random_id();
    bytes.append(reinterpret_cast<const char*>(&r), sizeof r);
  }
  return base::to_hex(bytes);
}

// Behind a proxy with TLS the browser is to send the cookie over TLS only.
std::string set_cookie(const Request& r, const std::string& value, std::int64_t max_age_s) {
  const bool tls = r.header("x-forwarded-proto") == "https";
  return std::string(admin::kSessionCookie) + "=" + value +
         "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(max_age_s) +
         (tls ? "; Secure" : "");
}

const char* name_of(admin::Caller::Kind kind) {
  return kind == admin::Caller::Kind::admin     ? "admin"
         : kind == admin::Caller::Kind::service ? "service"
                                                : "operator";
}

// What the caller is and may do.
json::object who(const admin::Caller& c) {
  const json::array sites(c.sites.begin(), c.sites.end());
  return {{"id", c.id},
          {"kind", name_of(c.kind)},
          {"tenant", c.tenant},
          {"sites", sites},
          {"may", json::object{
                      {"read", c.may_read}, {"change", c.may_change}, {"command", c.may_command}}}};
}

}  // namespace

std::string ConsoleSessions::close(const Seal& seal, const OpenedSession& s, std::int64_t at_s) {
  return seal.close(kSession, {}, std::to_string(at_s) + ' ' + s.csrf + ' ' + s.authorization);
}

std::optional<OpenedSession> ConsoleSessions::open(const Seal& seal, const std::string& cookie,
                                                   std::int64_t at_s) {
  const auto text = seal.open(kSession, {}, cookie);
  if (!text) return std::nullopt;
  std::int64_t issued_s = 0;
  const char* const end = text->data() + text->size();
  const auto [behind, ec] = std::from_chars(text->data(), end, issued_s);
  const std::size_t csrf = static_cast<std::size_t>(behind - text->data()) + 1;
  const std::size_t space = text->find(' ', csrf);
  // One of the future is none: the clock was set back, and its end would be too.
  if (ec != std::errc() || space == std::string::npos || issued_s > at_s + 60 ||
      at_s - issued_s >= kSessionLasts_s)
    return std::nullopt;
  return OpenedSession{.authorization = text->substr(space + 1),
                       .csrf = text->substr(csrf, space - csrf)};
}

namespace {

boost::asio::awaitable<std::optional<OpenedSession>> opened(admin::HomeLoop home, Cursors* cursors,
                                                            std::string cookie) {
  std::function<void(admin::HomeLoop::Done<SealPtr>)> start =
      [cursors](const admin::HomeLoop::Done<SealPtr>& done) { cursors->get(done); };
  const std::optional<SealPtr> seal = co_await home.ask<SealPtr>(std::move(start));
  if (!seal || *seal == nullptr) co_return std::nullopt;
  co_return ConsoleSessions::open(**seal, cookie, now_s());
}

}  // namespace

void ConsoleSessions::add_to(admin::HttpServer& http) {
  const admin::RouteOptions options{.who = admin::For::accounts, .body_max = 1024};
  http.route_waiting(
      "POST /api/v1/session", [this](const Request& r, const Responder& d) { begin(r, d); },
      options);
  http.route_waiting(
      "GET /api/v1/session", [this](const Request& r, const Responder& d) { show(r, d); }, options);
  http.route_waiting(
      "DELETE /api/v1/session",
      [](const Request& r, const Responder& d) {
        if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
          return d.answer(invalid(fault));
        admin::Response gone;
        gone.status = 204;
        gone.headers["Set-Cookie"] = set_cookie(r, "", 0);
        d.answer(gone);
      },
      options);
  http.use_sessions([home = http.home(), cursors = &cursors_](std::string cookie) {
    return opened(home, cursors, std::move(cookie));
  });
}

// The credential has been checked, as that of every request.
void ConsoleSessions::begin(const Request& r, const Responder& done) {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  OpenedSession s{.authorization = r.header("authorization"), .csrf = random_hex()};
  const bool bearer = admin::lower_case(s.authorization.substr(0, 7)) == "bearer ";
  if (!bearer || s.authorization.size() > kAuthorizationMax)
    return done.answer(invalid("a session is made of a bearer token or key"));
  cursors_.get([r, s, done](const SealPtr& seal) {
    if (seal == nullptr) return done.answer(unanswered(AskError::not_serving));
    json::object o = who(r.caller);
    o["csrf"] = s.csrf;
    o["lasts_s"] = kSessionLasts_s;
    admin::Response made = as_json(o);
    made.status = 201;
    made.headers["Set-Cookie"] = set_cookie(r, close(*seal, s, now_s()), kSessionLasts_s);
    done.answer(made);
  });
}

void ConsoleSessions::show(const Request& r, const Responder& done) {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  cursors_.get([r, done](const SealPtr& seal) {
    json::object o = who(r.caller);
    const std::string cookie = admin::session_cookie_in(r.header("cookie"));
    const auto s = seal == nullptr || cookie.empty() || !r.header("authorization").empty()
                       ? std::nullopt
                       : open(*seal, cookie, now_s());
    if (s) o["csrf"] = s->csrf;
    done.answer(as_json(o));
  });
}

}  // namespace berth::gateway::rest
