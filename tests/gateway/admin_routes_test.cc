// Callers, routes, answers that come later and streams of the admin server.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json.hpp>
#include <mutex>
#include <thread>

#include "gateway/admin/http_server.h"
#include "gateway/admin/problem.h"
#include "tests/support/raw_http.h"

namespace berth::gateway::admin {
namespace {

namespace asio = boost::asio;
using test::RawHttp;
using namespace std::chrono_literals;

constexpr const char* kId = "0af7651916cd43dd8448eb211c80319c";
constexpr const char* kSpan = "b7ad6b7169203331";

TEST(Traces, AreTakenIfWellFormedElseMade) {
  const std::string id = kId;
  const std::string good = "00-" + id + "-" + kSpan + "-01";
  const Trace t = trace_of(good);
  EXPECT_EQ(t.trace_id, id);
  EXPECT_EQ(t.parent_id, kSpan);
  EXPECT_TRUE(t.sampled);
  EXPECT_EQ(t.span_id.size(), 16u);
  EXPECT_NE(t.span_id, kSpan);
  EXPECT_EQ(t.traceparent(), "00-" + id + "-" + t.span_id + "-01");
  EXPECT_EQ(trace_of("cc-" + id + "-" + kSpan + "-00-what-comes-later").trace_id, id);
  EXPECT_FALSE(trace_of("cc-" + id + "-" + kSpan + "-00").sampled);
  for (const std::string& bad :
       {std::string(), std::string("00"), good + "-00", "ff" + good.substr(2),
        "0x" + good.substr(2), "00-" + std::string(32, '0') + "-" + kSpan + "-01",
        "00-" + id + "-" + std::string(16, '0') + "-01", "00_" + id + "-" + kSpan + "-01",
        "00-" + id + "-" + kSpan + "-0g", "00-" + std::string(32, 'A') + "-" + kSpan + "-01"}) {
    const Trace made = trace_of(bad);
    EXPECT_NE(made.trace_id, id) << bad;
    EXPECT_EQ(made.trace_id.size(), 32u) << bad;
    EXPECT_EQ(made.parent_id, "") << bad;
    EXPECT_EQ(trace_of(made.traceparent()).trace_id, made.trace_id) << bad;
  }
}

TEST(RoutesOfTheServer, ArePatterns) {
  Routes routes;
  const Route::Plain none;
  for (const char* target : {"GET /a", "POST /a", "GET /a/{id}", "POST /a/{id}:cancel",
                             "GET /a/all", "/tree", "GET /tree/x"})
    routes.add(target, {}, none);
  const auto found = [&](const char* method, const char* path) {
    const Routes::Found f = routes.find(method, path);
    return f.route == nullptr
               ? "none; " + f.allow
               : f.route->pattern + (f.captured.contains("id") ? " " + f.captured.at("id") : "");
  };
  EXPECT_EQ(found("GET", "/a"), "/a");
  EXPECT_EQ(found("GET", "/a/1"), "/a/{id} 1");
  EXPECT_EQ(found("GET", "/a/%E8%BD%A6"), "/a/{id} 车");
  EXPECT_EQ(found("GET", "/a/all"), "/a/all") << "a literal comes first";
  EXPECT_EQ(found("POST", "/a/1:cancel"), "/a/{id}:cancel 1");
  EXPECT_EQ(found("POST", "/a/1"), "none; GET, HEAD");
  EXPECT_EQ(found("DELETE", "/a"), "none; GET, HEAD, POST");
  for (const char* path : {"/a/", "/a/1/2", "/b", "/", "", "/a/:cancel/", "/trees"})
    EXPECT_EQ(found("POST", path), "none; ") << path;
  EXPECT_EQ(found("PUT", "/tree"), "/tree");
  EXPECT_EQ(found("PUT", "/tree/y/z"), "/tree");
  EXPECT_EQ(found("GET", "/tree/x"), "/tree/x");
  routes.add("GET /a", {.who = For::accounts}, none);
  EXPECT_EQ(routes.find("GET", "/a").route->options.who, For::accounts) << "the last one counts";
}

TEST(Problems, HaveAllTheirMembers) {
  Trace trace = trace_of("");
  const Response r = with_problem("/api/v1/x", trace,
                                  problem(codes::kInvalid, "line 7: \"x\"", {{"written", 500}}));
  EXPECT_EQ(r.status, 422);
  EXPECT_EQ(r.content_type, "application/problem+json");
  const auto o = boost::json::parse(r.body).as_object();
  EXPECT_EQ(o.at("type"), "urn:berth:error:invalid");
  EXPECT_EQ(o.at("title"), codes::kInvalid.title);
  EXPECT_EQ(o.at("status"), 422);
  EXPECT_EQ(o.at("code"), "invalid");
  EXPECT_EQ(o.at("detail"), "line 7: \"x\"");
  EXPECT_EQ(o.at("written"), 500);
  EXPECT_EQ(o.at("trace_id"), trace.trace_id.c_str());
  const Response plain =
      with_problem("/x", trace, Response{409, Response{}.content_type, "no\n", {}});
  EXPECT_EQ(boost::json::parse(plain.body).at("code"), "conflict");
  EXPECT_EQ(boost::json::parse(plain.body).at("detail"), "no");
  const Response probe{503, Response{}.content_type, "not ready\n", {}};
  EXPECT_EQ(with_problem("/readyz", trace, probe).body, "not ready\n");
  int before = 0;
  for (const ErrorCode& c : kErrorCodes) {
    EXPECT_GE(c.status, before) << c.code;
    before = c.status;
  }
}

TEST(Scopes, HideOtherTenantsAndRefuseOtherRights) {
  Caller c{.kind = Caller::Kind::service, .id = "p@acme", .tenant = "acme", .may_read = true};
  const auto status = [&](Right right, const char* tenant, const char* site = "") {
    const auto r = refusal_of(c, right, tenant, site);
    return r ? r->status : 0;
  };
  EXPECT_EQ(status(Right::read, "acme"), 0);
  EXPECT_EQ(status(Right::read, "acme", "north"), 0);
  EXPECT_EQ(status(Right::change, "acme"), 403);
  EXPECT_EQ(status(Right::command, "acme"), 403);
  EXPECT_EQ(status(Right::read, "other"), 404);
  EXPECT_EQ(status(Right::change, "other"), 404) << "says nothing of the other tenant";
  c.sites = {"north"};
  c.may_change = true;
  EXPECT_EQ(status(Right::change, "acme", "north"), 0);
  EXPECT_EQ(status(Right::read, "acme", "south"), 404);
  EXPECT_EQ(status(Right::read, "acme"), 0);
  EXPECT_EQ(status(Right::change, "acme"), 403) << "not a record of the whole tenant";
  c = admin_caller("admin_token");
  EXPECT_EQ(status(Right::command, "other", "south"), 0);
  EXPECT_EQ(refusal_of(Caller{}, Right::read, "acme")->status, 404);
}

class AdminRoutes : public ::testing::Test {
 protected:
  void start(Limits limits = {}, RouteOptions options = {.who = For::accounts}) {
    server_ = std::make_unique<HttpServer>(home_, limits);
    const auto who = [](Request r) { return said(std::move(r)); };
    server_->route("POST /api/v1/admins", HttpServer::RequestHandler(who));
    server_->route_at_home("POST /api/v1/records/{tenant}", who, options);
    server_->route_waiting(
        "GET /api/v1/later",
        [this](const Request&, const Responder& r) {
          const std::lock_guard lock(mutex_);
          responders_.push_back(r);
        },
        options);
    server_->route_stream(
        "GET /api/v1/events", [this](const Request& r, const EventStream& s) { on_stream(r, s); },
        options);
    server_->route("GET /livez", [] { return said({}); });
    server_->use_accounts([](Claim c) { return claimed(std::move(c)); });
    server_->listen("127.0.0.1", port_, {.listen_host = {}, .allowed_hosts = {}, .token = [] {
                                           return std::string("secret");
                                         }});
    thread_ = std::thread([this] { home_.run(); });
  }
  void TearDown() override {
    if (server_) server_->stop();
    work_.reset();
    home_.stop();
    if (thread_.joinable()) thread_.join();
  }
  static HttpServer::Answer said(Request r) {
    Response out;
    const auto no = refusal_of(r.caller, Right::read, r.capture("tenant"));
    if (!r.captured.empty() && no) co_return *no;
    out.body = r.caller.id + " " + r.caller.tenant + " " + r.caller.trace.parent_id + "\n";
    co_return out;
  }
  // "Bearer key-TENANT": an account of it; "Bearer signed-TENANT": the same, with an empty body.
  static asio::awaitable<ClaimAnswer> claimed(Claim c) {
    ClaimAnswer a;
    if (c.authorization == "Bearer changing-acme") {
      switch (changing_) {
        case 1:
          a.refusal = problem(codes::kUnavailable, "nobody can tell now");
          co_return a;
        case 2:
          a.refusal = problem(codes::kUnauthorized, "it has gone");
          co_return a;
        default:
          break;
      }
    }
    const std::size_t dash = c.authorization.find('-');
    if (dash == std::string::npos) {
      a.refusal = problem(codes::kUnauthorized, "no such account");
      a.why = "no such account";
      co_return a;
    }
    const std::string tenant = c.authorization.substr(dash + 1);
    Caller caller{
        .kind = Caller::Kind::service, .id = "p@" + tenant, .tenant = tenant, .may_read = true};
    a.caller = std::move(caller);
    if (c.authorization.starts_with("Bearer signed"))
      a.body_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    co_return a;
  }
  void on_stream(const Request& r, const EventStream& s) {
    if (r.parameter("refuse") == "1") return s.refuse(problem(codes::kNotFound, "no such stream"));
    if (r.parameter("never") == "1") return;
    s.begin();
    s.send("hello", "one\ntwo", "1");
    s.on_over([this] { ++over_; });
    if (r.parameter("end") == "1") return s.end();
    const std::lock_guard lock(mutex_);
    streams_.push_back(s);
  }
  std::string head(const std::string& method, const std::string& path,
                   const std::string& token = "secret", const std::string& more = {}) {
    return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token +
           "\r\n" + more + "\r\n";
  }
  std::string once(const std::string& method, const std::string& path,
                   const std::string& token = "secret", const std::string& more = {}) {
    RawHttp c(port_);
    c.send(head(method, path, token, "Connection: close\r\n" + more));
    c.ended();
    return c.receive("", 0);
  }
  static int status(const std::string& answer) {
    return answer.size() < 12 ? 0 : std::atoi(answer.c_str() + 9);
  }
  void wait_for(const std::function<bool()>& f) {
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (!f() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_TRUE(f());
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return responders_.size();
  }
  std::size_t streaming() {
    const std::lock_guard lock(mutex_);
    return streams_.size();
  }

  asio::io_context home_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{home_.get_executor()};
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<Responder> responders_;
  std::vector<EventStream> streams_;
  std::atomic<int> over_{0};
  static inline std::atomic<int> changing_{0};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(AdminRoutes, ACallerSeesWhatItsCredentialIncludes) {
  start();
  const std::string parent = std::string("traceparent: 00-") + kId + "-" + kSpan + "-01\r\n";
  const std::string mine = once("POST", "/api/v1/records/acme", "key-acme", parent);
  EXPECT_NE(mine.find(std::string("p@acme acme ") + kSpan), std::string::npos) << mine;
  EXPECT_NE(mine.find(std::string("traceparent: 00-") + kId), std::string::npos) << mine;
  EXPECT_EQ(status(once("POST", "/api/v1/records/other", "key-acme")), 404);
  EXPECT_NE(once("POST", "/api/v1/records/other").find("admin_token  "), std::string::npos);
  const std::string no = once("POST", "/api/v1/admins", "key-acme", parent);
  EXPECT_EQ(status(no), 403);
  EXPECT_NE(no.find("\"code\":\"forbidden\""), std::string::npos) << no;
  EXPECT_NE(no.find(std::string("\"trace_id\":\"") + kId), std::string::npos) << no;
  EXPECT_EQ(server_->figures().refused_scope, 1u);
  EXPECT_EQ(status(once("POST", "/api/v1/admins")), 200);
  EXPECT_EQ(status(once("POST", "/api/v1/records/acme", "other")), 401);
  EXPECT_EQ(status(once("POST", "/api/v1/nothing", "key-acme")), 404);
  EXPECT_EQ(status(once("GET", "/api/v1/admins", "key-acme")), 405);
}

TEST_F(AdminRoutes, ASignedBodyIsTheOneThatComes) {
  start();
  RawHttp bad(port_);
  bad.send(head("POST", "/api/v1/records/acme", "signed-acme", "Content-Length: 1\r\n") + "x");
  EXPECT_EQ(status(bad.receive("\"trace_id\"")), 401);
  RawHttp good(port_);
  good.send(head("POST", "/api/v1/records/acme", "signed-acme", "Content-Length: 0\r\n"));
  EXPECT_EQ(status(good.receive("p@acme")), 200);
}

TEST_F(AdminRoutes, AnAnswerMayComeLater) {
  Limits limits;
  limits.connections = 2;
  start(limits);
  std::vector<std::unique_ptr<RawHttp>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<RawHttp>(port_));
    clients.back()->send(head("GET", "/api/v1/later", "key-acme"));
    wait_for([&] { return waiting() == clients.size(); });
  }
  EXPECT_EQ(server_->figures().waiting, 6u);
  EXPECT_EQ(status(once("POST", "/api/v1/admins")), 200) << "those who wait keep nobody out";
  asio::post(home_, [this] {
    const std::lock_guard lock(mutex_);
    for (const Responder& r : responders_) {
      Response answer;
      answer.body = "later\n";
      r.answer(answer);
      answer.body = "again\n";
      r.answer(answer);
      EXPECT_TRUE(r.over());
    }
  });
  for (const auto& c : clients) EXPECT_NE(c->receive("later\n").find("200 OK"), std::string::npos);
  wait_for([&] { return server_->figures().waiting == 0; });
}

TEST_F(AdminRoutes, OneThatComesNeverIsLeftAtItsDeadline) {
  start({}, {.who = For::accounts, .deadline = 50ms});
  const std::string late = once("GET", "/api/v1/later");
  EXPECT_EQ(status(late), 504);
  EXPECT_NE(late.find("\"code\":\"no_answer\""), std::string::npos) << late;
  EXPECT_TRUE(responders_[0].over());
  responders_[0].answer({});  // too late: dropped
  EXPECT_EQ(status(once("POST", "/api/v1/admins")), 200);
}

TEST_F(AdminRoutes, AClientThatLeavesIsDropped) {
  start();
  {
    RawHttp c(port_);
    c.send(head("GET", "/api/v1/later"));
    wait_for([&] { return waiting() == 1; });
  }
  wait_for([&] { return responders_[0].over(); });
  wait_for([&] { return server_->figures().connections == 0; });
  EXPECT_EQ(server_->figures().waiting, 1u) << "what it has asked for is still under way";
  asio::post(home_, [this] { responders_[0].answer({}); });
  wait_for([&] { return server_->figures().waiting == 0; });
  RawHttp next(port_);  // what it sends without waiting is answered afterwards
  next.send(head("GET", "/api/v1/later") + head("POST", "/api/v1/admins"));
  wait_for([&] { return waiting() == 2; });
  asio::post(home_, [this] { responders_[1].answer({200, "text/plain", "later\n", {}}); });
  EXPECT_NE(next.receive("admin_token").find("later\n"), std::string::npos);
}

TEST_F(AdminRoutes, ATenantWhoseBodiesNeverComeKeepsNobodyOut) {
  Limits limits;
  limits.connections = 4;
  start(limits);
  std::vector<std::unique_ptr<RawHttp>> slow;
  for (std::uint64_t i = 0; i < 6; ++i) {
    slow.push_back(std::make_unique<RawHttp>(port_));
    slow.back()->send(head("POST", "/api/v1/records/a", "key-a", "Content-Length: 10\r\n") + "x");
    wait_for([&] { return server_->figures().requests == i + 1; });
    if (i < 2) continue;
    EXPECT_EQ(status(slow.back()->receive("\"trace_id\"")), 429);
  }
  EXPECT_EQ(status(once("POST", "/api/v1/records/b", "key-b")), 200);
  slow[0]->send("123456789");
  EXPECT_EQ(status(slow[0]->receive("p@a")), 200);
  EXPECT_EQ(status(once("POST", "/api/v1/records/a", "key-a")), 200) << "its place is free again";
}

TEST_F(AdminRoutes, WhoIsRefusedKeepsNobodyOut) {
  Limits limits;
  limits.connections = 4;
  start(limits);
  std::vector<std::unique_ptr<RawHttp>> refused;
  for (std::uint64_t i = 0; i < 4; ++i) {  // they are read for a second after their refusal
    refused.push_back(std::make_unique<RawHttp>(port_));
    refused.back()->send(head("POST", "/api/v1/records/a", "wrong", "Content-Length: 10\r\n"));
    EXPECT_EQ(status(refused.back()->receive("\"trace_id\"")), 401);
  }
  EXPECT_EQ(status(once("POST", "/api/v1/admins")), 200);
}

TEST_F(AdminRoutes, ATenantHasItsShareOfThoseWhoWait) {
  Limits limits;
  limits.waiting = 4;
  start(limits);
  std::vector<std::unique_ptr<RawHttp>> clients;
  for (const char* token : {"key-a", "key-a", "key-b"}) {
    clients.push_back(std::make_unique<RawHttp>(port_));
    clients.back()->send(head("GET", "/api/v1/later", token));
    wait_for([&] { return waiting() == clients.size(); });
  }
  const std::string no = once("GET", "/api/v1/later", "key-a");
  EXPECT_EQ(status(no), 429);
  EXPECT_NE(no.find("Retry-After: 1"), std::string::npos);
  clients.push_back(std::make_unique<RawHttp>(port_));
  clients.back()->send(head("GET", "/api/v1/later", "key-b"));
  wait_for([&] { return waiting() == 4; });
  EXPECT_EQ(status(once("GET", "/api/v1/later", "key-c")), 429);
  clients.clear();
  wait_for([&] { return server_->figures().connections == 0; });
  EXPECT_EQ(status(once("GET", "/api/v1/later", "key-a")), 429)
      << "who leaves gets no place for another question while the first one is under way";
  asio::post(home_, [this] {
    const std::lock_guard lock(mutex_);
    for (const Responder& r : responders_) r.answer({});
  });
  wait_for([&] { return server_->figures().waiting == 0; });
}

TEST_F(AdminRoutes, EventsAreStreamed) {
  start();
  const std::string all = once("GET", "/api/v1/events?end=1", "key-acme");
  EXPECT_EQ(status(all), 200);
  EXPECT_NE(all.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  EXPECT_NE(all.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_NE(all.find("id: 1\nevent: hello\ndata: one\ndata: two\n\n"), std::string::npos) << all;
  EXPECT_TRUE(all.ends_with("0\r\n\r\n")) << all;
  wait_for([&] { return over_ == 1; });
  EXPECT_EQ(status(once("GET", "/api/v1/events?refuse=1")), 404);
  RawHttp c(port_);
  c.send("GET /api/v1/events HTTP/1.0\r\nAuthorization: Bearer secret\r\n\r\n");
  EXPECT_NE(c.receive("data: two\n\n").find("\r\n\r\nid: 1"), std::string::npos) << "no chunks";
  wait_for([&] { return streaming() == 1; });
  asio::post(home_, [this] { EXPECT_TRUE(streams_[0].send("", "more")); });
  c.receive("data: more\n\n");
  EXPECT_EQ(server_->figures().streams, 1u);
  const std::string only_head = once("HEAD", "/api/v1/events");
  EXPECT_EQ(only_head.find("data"), std::string::npos) << only_head;
}

TEST_F(AdminRoutes, AStreamThatNobodyReadsIsEndedAndCounted) {
  Limits limits;
  limits.stream_bytes = 64 * 1024;
  start(limits);
  RawHttp slow(port_);
  slow.send(head("GET", "/api/v1/events"));
  wait_for([&] { return streaming() == 1; });
  asio::post(home_, [this] {
    const std::string event(1000, 'x');
    int sent = 0;
    while (sent < 10'000 && streams_[0].send("", event)) ++sent;
    EXPECT_LT(sent, 10'000);
    EXPECT_TRUE(streams_[0].over());
  });
  wait_for([&] { return server_->figures().streams_slow == 1 && over_ == 1; });
  wait_for([&] { return server_->figures().streams == 0; });
}

TEST_F(AdminRoutes, AStreamIsTooSlowInTheMiddleOfAWrite) {
  constexpr std::size_t kMoreThanSocketsHold = 48'000'000;
  Limits limits;
  limits.stream_bytes = 2 * kMoreThanSocketsHold - 1;
  limits.stalled = std::chrono::minutes(10);
  start(limits);
  RawHttp slow(port_);
  slow.send(head("GET", "/api/v1/events"));
  slow.receive("data: two");
  std::atomic<bool> sent{false};
  asio::post(home_, [&] { sent = streams_[0].send("", std::string(kMoreThanSocketsHold, 'x')); });
  wait_for([&] { return sent && streams_[0].held() == 0; });  // the write has begun
  asio::post(home_, [this] {
    EXPECT_FALSE(streams_[0].send("", std::string(2 * kMoreThanSocketsHold, 'y')));
  });
  wait_for([&] { return server_->figures().streams_slow == 1 && over_ == 1; });
  wait_for([&] { return server_->figures().streams == 0; });
}

TEST_F(AdminRoutes, StreamsAreFewAndEndWithTheirClients) {
  Limits limits;
  limits.connections = 2;
  limits.streams = 8;
  limits.stream_quiet = 20ms;
  start(limits);
  {
    RawHttp a(port_);
    RawHttp b(port_);
    for (RawHttp* c : {&a, &b}) {
      c->send(head("GET", "/api/v1/events", "key-a"));
      c->receive("data: two");
    }
    EXPECT_NE(a.receive("\n:\n").find("3\r\n:\n\n"), std::string::npos) << "a comment while quiet";
    EXPECT_EQ(status(once("GET", "/api/v1/events", "key-a")), 429);
    EXPECT_EQ(status(once("GET", "/api/v1/events?end=1", "key-b")), 200);
  }
  wait_for([&] { return over_ == 3 && server_->figures().streams == 0; });
  EXPECT_EQ(status(once("GET", "/api/v1/events?end=1", "key-a")), 200);
}

TEST_F(AdminRoutes, AStreamEndsWhenItIsOld) {
  Limits limits;
  limits.stream_age = 100ms;
  start(limits);
  RawHttp c(port_);
  c.send(head("GET", "/api/v1/events"));
  EXPECT_TRUE(c.ended());
  EXPECT_TRUE(c.receive("", 0).ends_with("0\r\n\r\n"));
  wait_for([&] { return over_ == 1; });
}

TEST_F(AdminRoutes, AStreamEndsSoonAfterItsCredential) {
  Limits limits;
  limits.stream_look = 20ms;
  limits.stream_quiet = 60ms;
  changing_ = 0;
  start(limits);
  RawHttp c(port_), other(port_), signing(port_);
  c.send(head("GET", "/api/v1/events", "changing-acme"));
  other.send(head("GET", "/api/v1/events", "key-acme"));
  signing.send(
      "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: HMAC-SHA256 "
      "x-acme\r\n\r\n");
  wait_for([&] { return streaming() == 3; });
  c.receive(":\n\n");
  changing_ = 1;
  // While no engine can answer, the stream goes on: three comments, with a check between each two.
  const auto comments = [&c] {
    (void)c.ended(5);
    const std::string all = c.receive("", 0);
    std::size_t n = 0;
    for (std::size_t at = 0; (at = all.find(":\n\n", at)) != std::string::npos; ++at) ++n;
    return n;
  };
  const std::size_t before = comments();
  wait_for([&] { return comments() >= before + 3; });
  EXPECT_EQ(over_, 0);
  changing_ = 2;
  EXPECT_TRUE(c.ended());
  EXPECT_TRUE(c.receive("", 0).ends_with("0\r\n\r\n"));
  wait_for([&] { return over_ == 1; });
  EXPECT_TRUE(other.open());
  EXPECT_TRUE(signing.open());
}

TEST_F(AdminRoutes, StopsWhileTheyWait) {
  start();
  RawHttp waits(port_);
  waits.send(head("GET", "/api/v1/later"));
  RawHttp reads(port_);
  reads.send(head("GET", "/api/v1/events"));
  wait_for([&] { return waiting() == 1 && streaming() == 1; });
  server_->stop();
  EXPECT_TRUE(waits.ended());
  EXPECT_TRUE(reads.ended());
  server_.reset();  // what home still holds outlives it
  asio::post(home_, [this] {
    responders_[0].answer({});
    streams_[0].send("", "x");
  });
}

}  // namespace
}  // namespace berth::gateway::admin
