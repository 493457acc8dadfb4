#include "gateway/rest/console_sessions.h"

#include <openssl/sha.h>

#include <boost/asio/post.hpp>
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
using admin::SessionState;
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

// Says nothing of the csrf.
std::string id_of(const std::string& csrf) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(csrf.data()), csrf.size(), digest);
  return {reinterpret_cast<const char*>(digest), platform::EndedSessions::kIdBytes};
}

// Whose sessions they are: "Bearer platform@acme:secret".
std::string account_in(const std::string& authorization) {
  const std::size_t begin = authorization.find_first_not_of(' ', 6);
  const std::size_t at = authorization.find('@');
  const std::size_t colon = authorization.find(':', at);
  if (begin == std::string::npos || at == std::string::npos || colon == std::string::npos)
    return "admin";
  return authorization.substr(begin, colon - begin).substr(0, platform::EndedSessions::kAccountMax);
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
          {"may", json::object{{"read", c.may_read},
                               {"change", c.may_change},
                               {"command", c.may_command},
                               {"plates", c.may_see_plates}}}};
}

}  // namespace

std::string ConsoleSessions::close(const Seal& seal, const OpenedSession& s, std::int64_t at_s) {
  return seal.close(kSession, {}, std::to_string(at_s) + ' ' + s.csrf + ' ' + s.authorization);
}

admin::SessionAnswer ConsoleSessions::open(const Seal& seal, const std::string& cookie,
                                           std::int64_t at_s) {
  const auto text = seal.open(kSession, {}, cookie);
  if (!text) return {};
  std::int64_t issued_s = 0;
  const char* const end = text->data() + text->size();
  const auto [behind, ec] = std::from_chars(text->data(), end, issued_s);
  const std::size_t csrf = static_cast<std::size_t>(behind - text->data()) + 1;
  const std::size_t space = text->find(' ', csrf);
  if (ec != std::errc() || space == std::string::npos) return {};
  // One of the future is none: the clock was set back, and its end would be too.
  if (issued_s > at_s + 60 || at_s - issued_s >= kSessionLasts_s)
    return {.state = SessionState::ended};
  OpenedSession s{.authorization = text->substr(space + 1),
                  .csrf = text->substr(csrf, space - csrf),
                  .id = {},
                  .account = {},
                  .issued_s = issued_s};
  s.id = id_of(s.csrf);
  s.account = account_in(s.authorization);
  return {.state = SessionState::good, .session = std::move(s)};
}

ConsoleSessions::ConsoleSessions(Cursors& cursors, const link::Asker& asker)
    : cursors_(cursors), ended_(asker, now_s()) {}

// As the gateway knows it now.
void ConsoleSessions::look_at(const std::string& cookie,
                              std::function<void(admin::SessionAnswer)> then) {
  cursors_.get([this, cookie, then = std::move(then)](const SealPtr& seal) {
    if (seal == nullptr) return then({.state = SessionState::unknown});
    const admin::SessionAnswer a = open(*seal, cookie, now_s());
    if (a.state != SessionState::good) return then(a);
    ended_.refresh([this, a, then] {
      admin::SessionAnswer now = a;
      now.state = ended_.state_of(a.session);
      then(std::move(now));
    });
  });
}

namespace {

boost::asio::awaitable<admin::SessionAnswer> at_home(
    admin::HomeLoop home,
    std::function<void(const std::string&, std::function<void(admin::SessionAnswer)>)> look_at,
    std::string cookie) {
  std::function<void(admin::HomeLoop::Done<admin::SessionAnswer>)> start =
      [look_at = std::move(look_at), cookie = std::move(cookie)](
          const admin::HomeLoop::Done<admin::SessionAnswer>& done) { look_at(cookie, done); };
  std::optional<admin::SessionAnswer> a = co_await home.ask<admin::SessionAnswer>(std::move(start));
  if (a) co_return std::move(*a);
  co_return admin::SessionAnswer{.state = SessionState::unknown};
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
      "DELETE /api/v1/session", [this](const Request& r, const Responder& d) { end(r, d); },
      options);
  const auto look = [this](const std::string& cookie,
                           std::function<void(admin::SessionAnswer)> then) {
    look_at(cookie, std::move(then));
  };
  http.use_sessions(
      {.open = [home = http.home(),
                look](std::string cookie) { return at_home(home, look, std::move(cookie)); },
       .end =
           [this, home = http.home()](const OpenedSession& s) {
             boost::asio::post(home.io(), [this, s] { ended_.end_here(s); });
           }});
}

// The browser loses the cookie whatever the gateway can store now.
void ConsoleSessions::end(const Request& r, const Responder& done) {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  const std::string cookie = admin::session_cookie_in(r.header("cookie"));
  admin::Response gone;
  gone.status = 204;
  gone.headers["Set-Cookie"] = set_cookie(r, "", 0);
  if (cookie.empty()) return done.answer(gone);
  cursors_.get([this, cookie, gone, done](const SealPtr& seal) {
    const admin::SessionAnswer a =
        seal == nullptr ? admin::SessionAnswer{} : open(*seal, cookie, now_s());
    if (a.state != SessionState::good) return done.answer(gone);
    ended_.end(a.session, [gone, done](bool stored) {
      if (stored) return done.answer(gone);
      admin::Response not_now =
          admin::problem(admin::codes::kUnavailable,
                         "this process lets the session in no more; no engine could store that");
      not_now.headers = gone.headers;
      done.answer(not_now);
    });
  });
}

// The credential has been checked, as that of every request.
void ConsoleSessions::begin(const Request& r, const Responder& done) {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  OpenedSession s;
  s.authorization = r.header("authorization");
  s.csrf = random_hex();
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
    const admin::SessionAnswer a =
        seal == nullptr || cookie.empty() || !r.header("authorization").empty()
            ? admin::SessionAnswer{}
            : open(*seal, cookie, now_s());
    if (a.state == SessionState::good) o["csrf"] = a.session.csrf;
    done.answer(as_json(o));
  });
}

}  // namespace berth::gateway::rest
