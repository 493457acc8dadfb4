#include "gateway/admin/conversation.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/log.h"
#include "base/text.h"
#include "gateway/admin/audit.h"
#include "gateway/admin/await.h"
#include "gateway/admin/problem.h"
#include "gateway/admin/stream_writer.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::size_t kDrainMax = 256 * 1024;  // of a body nobody wants, so that its answer arrives
constexpr auto kDrain = std::chrono::seconds(1);

using Parser = http::request_parser<http::string_body>;

// GCC 12 destroys some temporaries of a co_await twice: what has strings gets a name there.
Response text(int status, const std::string& body) {
  return {status, Response{}.content_type, body, {}};
}

// application/x-www-form-urlencoded
std::string decoded(std::string s) {
  std::replace(s.begin(), s.end(), '+', ' ');
  return base::percent_decoded(s);
}

std::string sha256_hex(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return base::to_hex({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::map<std::string, std::string> parse_query(const std::string& query, std::string& repeated) {
  std::map<std::string, std::string> out;
  for (std::size_t at = 0; at < query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string pair = query.substr(at, end - at);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = decoded(pair.substr(0, equals));
    const std::string value = equals < pair.size() ? decoded(pair.substr(equals + 1)) : "";
    if (!out.emplace(name, value).second) repeated = name;
    at = end + 1;
  }
  return out;
}

struct Target {
  std::string said;                      // path and query as they came
  std::optional<std::string> authority;  // of "http://HOST:PORT/path"
  std::string path;
  std::string query;
};

Target target_of(std::string text) {
  Target t;
  const std::string start = lower_case(text.substr(0, 8));
  const std::size_t scheme = start.starts_with("http://") ? 7 : start == "https://" ? 8 : 0;
  if (scheme != 0) {
    const std::size_t end = std::min(text.find_first_of("/?", scheme), text.size());
    t.authority = text.substr(scheme, end - scheme);
    text.erase(0, end);
    if (!text.starts_with('/')) text.insert(0, "/");
  }
  t.said = text;
  const std::size_t mark = std::min(text.find('?'), text.size());
  t.path = text.substr(0, mark);
  if (mark < text.size()) t.query = text.substr(mark + 1);
  return t;
}

AskedFor asked_for(const Parser::value_type& head, const Target& target) {
  AskedFor a;
  a.method = std::string(head.method_string());
  a.path = target.path;
  a.authority = target.authority;
  a.old_version = head.version() < 11;
  const auto take = [&](const char* name, std::optional<std::string>& out) {
    const auto [begin, end] = head.equal_range(name);
    if (begin == end) return;
    out = std::string(begin->value());
    a.repeated = a.repeated || std::next(begin) != end;
  };
  take("Host", a.host);
  take("Origin", a.origin);
  take("Sec-Fetch-Site", a.fetch_site);
  take("Authorization", a.authorization);
  return a;
}

Request request_of(Parser::value_type message, const Target& target) {
  Request r;
  r.method = std::string(message.method_string());
  if (message.method() == http::verb::head) r.method = "GET";
  r.path = target.path;
  r.query = parse_query(target.query, r.repeated);
  for (const auto& field : message)
    r.headers[lower_case(std::string(field.name_string()))] = std::string(field.value());
  r.body = std::move(message.body());
  return r;
}

// Beast's serialiser would send a body with the answer to HEAD.
std::string head_of(const Response& r, bool old_version, bool keep) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(r.status));
  std::string head = std::string(old_version ? "HTTP/1.0 " : "HTTP/1.1 ") +
                     std::to_string(r.status) + " " + std::string(reason) + "\r\n";
  const auto line = [&head](const std::string& name, const std::string& value) {
    head += name + ": " + value + "\r\n";
  };
  if (r.status != 204) line("Content-Type", r.content_type);
  if (r.stream != nullptr) {
    if (!old_version) line("Transfer-Encoding", "chunked");
  } else if (r.status != 204) {
    line("Content-Length", std::to_string(r.body.size()));
  }
  if (!r.headers.contains("Cache-Control")) line("Cache-Control", "no-store");
  line("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : r.headers) line(name, value);
  line("Connection", keep ? "keep-alive" : "close");
  return head + "\r\n";
}

struct Turn {  // of one request
  Target target;
  bool head = false;
  bool old_version = false;
  bool keep = false;
  Trace trace;
};

// The request of a client; a header that comes twice is none.
Trace trace_of_head(const Parser::value_type& head) {
  const auto [begin, end] = head.equal_range("traceparent");
  const bool one = begin != end && std::next(begin) == end;
  return trace_of(one ? std::string(begin->value()) : std::string());
}

asio::awaitable<bool> write(Service& service, Stream& stream, Turn turn, Response r) {
  r = with_problem(turn.target.path, turn.trace, std::move(r));
  r.headers["traceparent"] = turn.trace.traceparent();
  std::string bytes = head_of(r, turn.old_version, turn.keep);
  if (!turn.head && r.status != 204) bytes += r.body;
  co_return co_await write_all(stream, bytes, service.limits.stalled);
}

// The answer to what is not read to its end: closing now would reset the connection, and the answer
// would be lost with it.
asio::awaitable<void> refuse(Service& service, Stream& stream, Turn turn, Response r) {
  turn.keep = false;
  const bool written = co_await write(service, stream, std::move(turn), std::move(r));
  if (!written) co_return;
  boost::system::error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  std::array<char, 4096> sink{};
  const auto into = asio::buffer(sink);
  stream.expires_after(kDrain);
  for (std::size_t drained = 0; drained < kDrainMax;) {
    auto [ec, n] = co_await stream.async_read_some(into, kUse);
    if (ec) co_return;
    drained += n;
  }
}

// Who asks, and why it is refused before its body is read.
struct Admitted {
  Response refusal = text(0, {});  // status 0: go on
  std::string why;                 // for the log
  Caller caller;
  std::string body_sha256;  // that the body must have; empty: not said
  AskedFor asked = {};
};

Admitted refused(Response r, std::string why) {
  return {.refusal = std::move(r), .why = std::move(why), .caller = {}, .body_sha256 = {}};
}

Admitted refused_by_guard(Service& service, const Guard::Verdict& v) {
  Figures& f = service.figures;
  const bool token = v.reason == "token";
  ++(v.reason == "host"     ? f.refused_host
     : v.reason == "origin" ? f.refused_origin
     : token                ? f.refused_token
                            : f.refused_malformed);
  const std::string detail = v.text.substr(0, v.text.find('\n'));
  Response r = problem(v.reason == "host"     ? codes::kHostRefused
                       : v.reason == "origin" ? codes::kOriginRefused
                       : token                ? codes::kUnauthorized
                                              : codes::kMalformed,
                       detail);
  if (token) r.headers["WWW-Authenticate"] = "Bearer realm=\"berth\"";
  return refused(std::move(r), detail);
}

// The session of a page; `none`: it has shown no cookie of ours.
asio::awaitable<SessionAnswer> session_of(const Sessions& sessions, const Parser::value_type& head,
                                          AskedFor& asked) {
  std::string all;  // of all headers: a cookie that is in two of them is none
  const auto [begin, end] = head.equal_range(http::field::cookie);
  for (auto it = begin; it != end; ++it) all.append(all.empty() ? "" : "; ").append(it->value());
  std::string cookie = session_cookie_in(all);
  if (cookie.empty() || !sessions.open) co_return SessionAnswer{};
  SessionAnswer a = co_await sessions.open(cookie);
  if (a.state == SessionState::good) {
    asked.cookie = std::move(cookie);
    asked.authorization = a.session.authorization;
  }
  co_return a;
}

// A page of another origin may ask.
bool lacks_csrf(const OpenedSession& s, const Parser::value_type& head, const AskedFor& asked) {
  if (asked.method == "GET" || asked.method == "HEAD") return false;
  const auto [shown, behind] = head.equal_range(kCsrfHeader);
  const bool once = shown != behind && std::next(shown) == behind;
  return !once || shown->value() != s.csrf;
}

Admitted session_over(Service& service) {
  ++service.figures.refused_session;
  return refused(problem(codes::kSessionEnded, "log in again"), "the session has ended");
}

// Of a request that needs a credential and shows a session that is none.
std::optional<Admitted> refused_session(Service& service, SessionState state) {
  if (state == SessionState::ended) return session_over(service);
  if (state != SessionState::unknown) return std::nullopt;
  ++service.figures.refused_busy;
  Response r = problem(codes::kUnavailable, "no engine can say now whether the session has ended");
  r.headers["Retry-After"] = "1";
  return refused(std::move(r), "sessions that have ended are not known");
}

Admitted refused_by_accounts(Service& service, ClaimAnswer a) {
  Figures& f = service.figures;
  const int status = a.refusal.status;
  ++(status == 429   ? f.refused_throttled
     : status == 403 ? f.refused_scope
     : status >= 500 ? f.refused_busy
                     : f.refused_token);
  if (status == 401) a.refusal.headers["WWW-Authenticate"] = "Bearer realm=\"berth\"";
  return refused(std::move(a.refusal), std::move(a.why));
}

// The admin token, or an account; of a page those of its session.
asio::awaitable<Admitted> identify(Service& service, const Connection& c, const Parser& parser,
                                   const Target& target) {
  AskedFor asked = asked_for(parser.get(), target);
  SessionAnswer session;
  if (!asked.authorization && !asked.repeated && !c.peer.local_socket)
    session = co_await session_of(service.sessions, parser.get(), asked);
  const bool own = session.state == SessionState::good;
  if (own && lacks_csrf(session.session, parser.get(), asked)) {
    ++service.figures.refused_origin;
    Response r = problem(codes::kOriginRefused, "X-Berth-CSRF is missing or wrong");
    co_return refused(std::move(r), "X-Berth-CSRF is missing or wrong");
  }
  Guard::Verdict v = service.guard.judge(c.peer, asked);
  if (v.status == 0)
    co_return Admitted{
        .why = {}, .caller = std::move(v.caller), .body_sha256 = {}, .asked = std::move(asked)};
  if (v.reason == "token") {
    if (auto no = refused_session(service, session.state)) co_return std::move(*no);
  }
  if (!v.other_credential || !service.accounts) {
    if (!own || v.reason != "token") co_return refused_by_guard(service, v);
    service.sessions.end(session.session);
    co_return session_over(service);
  }
  Claim claim{*asked.authorization, asked.method, target.said, c.address, own};
  ClaimAnswer a = co_await service.accounts(std::move(claim));
  if (a.caller)
    co_return Admitted{.why = {},
                       .caller = std::move(*a.caller),
                       .body_sha256 = std::move(a.body_sha256),
                       .asked = std::move(asked)};
  if (own && a.refusal.status == 401) {
    service.sessions.end(session.session);
    co_return session_over(service);
  }
  co_return refused_by_accounts(service, std::move(a));
}

bool same_rights(const Caller& a, const Caller& b) {
  return a.kind == b.kind && a.id == b.id && a.tenant == b.tenant && a.sites == b.sites &&
         a.may_read == b.may_read && a.may_see_plates == b.may_see_plates;
}

// Is the credential that a stream began with still good, with the same rights, and its session not
// ended? While no engine can answer, yes.
asio::awaitable<bool> still_allowed(const Service* service, Peer peer, std::string address,
                                    std::string target, AskedFor asked, Caller before) {
  if (!asked.cookie.empty()) {
    const SessionAnswer s = co_await service->sessions.open(asked.cookie);
    if (s.state == SessionState::ended) co_return false;
  }
  const Guard::Verdict v = service->guard.judge(peer, asked);
  if (v.status == 0) co_return same_rights(v.caller, before);
  if (!v.other_credential || !service->accounts) co_return false;
  Claim claim{*asked.authorization, asked.method,          std::move(target),
              std::move(address),   !asked.cookie.empty(), true};
  const ClaimAnswer a = co_await service->accounts(std::move(claim));
  if (a.caller) co_return same_rights(*a.caller, before);
  co_return a.refusal.status == 429 || a.refusal.status >= 500;
}

// What is wrong with a request of one who may ask something. Status 0: nothing.
Response objection(Service& service, const Connection& c, const Caller& caller,
                   const Parser& parser, const Target& target) {
  if (c.probes_only && !Guard::is_probe(target.path)) {
    ++service.figures.refused_busy;
    Response r = problem(codes::kBusy, "too many connections");
    r.headers["Retry-After"] = "1";
    return r;
  }
  const std::string method =
      parser.get().method() == http::verb::head ? "GET" : std::string(parser.get().method_string());
  const Route* route = service.dispatch.routes().find(method, target.path).route;
  const bool account =
      caller.kind == Caller::Kind::service || caller.kind == Caller::Kind::operator_;
  if (account && route != nullptr && route->options.who == For::admin) {
    ++service.figures.refused_scope;
    return problem(codes::kForbidden, "for the admin token only");
  }
  const std::string expected(parser.get()[http::field::expect]);
  if (!expected.empty() && lower_case(expected) != "100-continue")
    return problem(codes::kExpectationFailed, "only 100-continue");
  const auto length = parser.content_length();
  if (length && *length > (route != nullptr ? route->options.body_max : kBodyMax)) {
    ++service.figures.refused_malformed;
    return problem(codes::kTooLarge, "too large");
  }
  return text(0, {});
}

// The status to refuse it with; 0: it is there; -1: the peer is gone or stalls.
asio::awaitable<int> read_body(Service& service, Connection& c, beast::flat_buffer& buffer,
                               Parser& parser, BodyHold& hold) {
  const auto declared = parser.content_length();
  if (declared && !hold.grow_to(*declared)) co_return 503;
  if (!parser.is_done() && !parser.get()[http::field::expect].empty()) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const bool written = co_await write_all(c.stream, go_on, service.limits.stalled);
    if (!written) co_return -1;
  }
  while (!parser.is_done()) {
    c.stream.expires_after(service.limits.stalled);
    auto [ec, n] = co_await http::async_read_some(c.stream, buffer, parser, kUse);
    if (ec == http::error::body_limit) co_return 413;
    if (ec && ec.category() == make_error_code(http::error::body_limit).category()) co_return 400;
    if (ec) co_return -1;
    if (!hold.grow_to(parser.get().body().size())) co_return 503;
  }
  co_return 0;
}

Response refusal_of(int status, Figures& figures) {
  ++(status == 503 ? figures.refused_busy : figures.refused_malformed);
  Response r = status == 413   ? problem(codes::kTooLarge, "too large")
               : status == 431 ? problem(codes::kHeadTooLarge, "the request's head is too large")
               : status == 503 ? problem(codes::kBusy, "too many large requests")
                               : problem(codes::kMalformed, "malformed request");
  if (status == 503) r.headers["Retry-After"] = "1";
  return r;
}

// False: the connection is over.
asio::awaitable<bool> wait_for_request(Service& service, Connection& c,
                                       beast::flat_buffer& buffer) {
  c.waits = true;
  c.waits_since = std::chrono::steady_clock::now();
  if (buffer.size() != 0) co_return true;
  c.stream.expires_after(service.limits.idle);
  const auto into = buffer.prepare(4096);
  auto [ec, n] = co_await c.stream.async_read_some(into, kUse);
  buffer.commit(n);
  co_return !ec;
}

// False: the connection is over. `wanted`: the digest that the body must have; empty: any.
asio::awaitable<bool> answer(Service& service, ConnectionPtr c, Turn turn, Request request,
                             std::string wanted, AskedFor shown) {
  const Asked asked = asked_of(request);
  const Caller caller = request.caller;
  const std::string target = turn.target.said;
  Response r;
  if (!wanted.empty() && wanted != sha256_hex(request.body)) {
    ++service.figures.refused_token;
    r = problem(codes::kUnauthorized, "the body is not the one that was signed");
  } else {
    r = co_await service.dispatch.answer(std::move(request), c);
  }
  log_answered(*c, asked, r);
  if (r.status == Dispatch::kGone) co_return false;
  turn.keep = turn.keep && r.stream == nullptr && !service.table.crowded();
  const bool keep = turn.keep;
  const bool chunked = !turn.old_version;
  const bool only_head = turn.head;
  const std::shared_ptr<StreamState> events = r.stream;
  // Whoever has shown nothing keeps no other client out by reading slowly.
  c->waits = caller.kind == Caller::Kind::nobody;
  c->waits_since = std::chrono::steady_clock::now();
  const bool written = co_await write(service, c->stream, std::move(turn), std::move(r));
  if (events == nullptr) {
    service.dispatch.answered(*c);
    co_return written&& keep;
  }
  if (!written || only_head) events->gone = true;
  events->still_allowed = [of = &service, peer = c->peer, address = c->address, target, shown,
                           caller] {
    return still_allowed(of, peer, address, target, shown, caller);
  };
  co_await write_events(service.limits, service.figures, c, events, chunked);
  co_return false;
}

// False: the connection is over. The head is there; `turn` is made of it.
asio::awaitable<bool> answer_head(Service& service, ConnectionPtr c, beast::flat_buffer& buffer,
                                  Parser& parser, Turn turn) {
  Admitted admitted = co_await identify(service, *c, parser, turn.target);
  if (admitted.refusal.status == 0) {
    admitted.refusal = objection(service, *c, admitted.caller, parser, turn.target);
    admitted.why = "not allowed, or too large";
  }
  if (admitted.refusal.status == 0 && !service.dispatch.begin(admitted.caller, *c)) {
    admitted.refusal = problem(codes::kTooManyRequests, "too many requests of the tenant");
    admitted.refusal.headers["Retry-After"] = "1";
    admitted.why = "too many requests of the tenant";
  }
  // Until then, and while its refusal is sent, the connection may be closed for a new one: clients
  // without a credential keep no other client out.
  c->waits = admitted.refusal.status != 0;
  if (admitted.refusal.status != 0) {
    const Asked asked{std::string(parser.get().method_string()),
                      turn.target.path,
                      false,
                      admitted.caller.id,
                      admitted.caller.tenant,
                      turn.trace.trace_id};
    log_refused(*c, asked, admitted.refusal.status, admitted.why);
    co_await refuse(service, c->stream, std::move(turn), std::move(admitted.refusal));
    co_return false;
  }
  const Routes::Found found = service.dispatch.routes().find(
      turn.head ? "GET" : std::string(parser.get().method_string()), turn.target.path);
  parser.body_limit(found.route != nullptr ? found.route->options.body_max : kBodyMax);
  BodyHold hold(service.body_bytes_left);
  const int status = co_await read_body(service, *c, buffer, parser, hold);
  if (status < 0) co_return false;
  if (status > 0) {
    Response r = refusal_of(status, service.figures);
    co_await refuse(service, c->stream, std::move(turn), std::move(r));
    co_return false;
  }
  turn.keep = parser.get().keep_alive();
  c->stream.expires_never();
  Request request = request_of(parser.release(), turn.target);
  request.caller = std::move(admitted.caller);
  request.caller.trace = turn.trace;
  std::string wanted = std::move(admitted.body_sha256);
  AskedFor shown = std::move(admitted.asked);
  co_return co_await answer(service, std::move(c), std::move(turn), std::move(request),
                            std::move(wanted), std::move(shown));
}

// False: nothing follows on this connection.
asio::awaitable<bool> one_request(Service& service, ConnectionPtr c, beast::flat_buffer& buffer) {
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(service.limits.head_bytes));
  parser.body_limit(boost::none);  // until the path is known; only the head is read
  c->stream.expires_after(service.limits.head);
  auto [ec, n] = co_await http::async_read_header(c->stream, buffer, parser, kUse);
  Turn turn;
  if (ec) {
    const bool malformed = ec.category() == make_error_code(http::error::end_of_stream).category();
    if (!malformed || ec == http::error::end_of_stream || ec == http::error::partial_message)
      co_return false;
    turn.trace = trace_of({});
    Response r = refusal_of(ec == http::error::header_limit ? 431 : 400, service.figures);
    co_await refuse(service, c->stream, std::move(turn), std::move(r));
    co_return false;
  }
  ++service.figures.requests;
  turn.target = target_of(std::string(parser.get().target()));
  turn.trace = trace_of_head(parser.get());
  turn.head = parser.get().method() == http::verb::head;
  turn.old_version = parser.get().version() < 11;
  co_return co_await answer_head(service, std::move(c), buffer, parser, std::move(turn));
}

}  // namespace

asio::awaitable<void> converse(Service& service, ConnectionPtr c) {
  beast::flat_buffer buffer(kBuffer);
  for (;;) {
    const bool comes = co_await wait_for_request(service, *c, buffer);
    if (!comes) co_return;
    const bool more = co_await one_request(service, c, buffer);
    if (!more) co_return;
  }
}

}  // namespace berth::gateway::admin
