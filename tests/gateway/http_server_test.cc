// The admin server against raw sockets: who is let in, what it does with those who are slow, many
// or greedy, and that each asker gets an answer.
#include "gateway/admin/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "gateway/admin/http_client.h"
#include "gateway/admin/token_file.h"
#include "tests/support/raw_http.h"

namespace berth::gateway::admin {
namespace {

namespace asio = boost::asio;
using test::connect_loopback;

constexpr const char* kGoodToken = "Authorization: Bearer secret\r\n";

std::string text_body(const std::string& body, const std::string& more = {}) {
  return "Content-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" + body;
}

using Client = test::RawHttp;

class HttpServerTest : public ::testing::Test {
 protected:
  void start(Limits limits = {}, std::vector<std::string> hosts = {}) {
    server_ = std::make_unique<HttpServer>(home_, limits);
    server_->route("GET /livez", [] { return made("alive\n"); });
    server_->route("GET /metrics", [] { return made(std::string(300'000, 'm')); });
    server_->route("GET /api/v1/status", [] { return made("status\n"); });
    server_->route("POST /api/v1/restart", [this] { return change(); });
    server_->route_under_at_home(
        "/api/v1/things", [this](Request r) { return thing(std::move(r)); }, {.body_max = 1 << 20});
    server_->route_under("/api/v1/slow", [this](Request) { return slow(); });
    server_->listen("127.0.0.1", port_,
                    {.listen_host = {}, .allowed_hosts = std::move(hosts), .token = [] {
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
  static HttpServer::Answer answered(Response r) { co_return r; }
  static HttpServer::Answer made(std::string body) {
    Response r;
    r.body = std::move(body);
    co_return r;
  }
  HttpServer::Answer change() {
    ++changes_;
    return made("changed\n");
  }
  HttpServer::Answer thing(Request r) {
    ++changes_;
    Response out;
    out.body = r.method + " " + r.path + " " + r.header("content-type") + " " +
               std::to_string(r.body.size()) + " " +
               (home_.get_executor().running_in_this_thread() ? "home" : "away") + "\n";
    co_return out;
  }
  HttpServer::Answer slow() {
    std::function<void(HomeLoop::Done<int>)> start = [this](HomeLoop::Done<int> done) {
      waiting_.push_back(std::move(done));
    };
    HomeLoop home = server_->home();
    co_await home.ask<int>(std::move(start));
    Response out;
    out.body = "slow\n";
    co_return out;
  }
  std::string once(const std::string& request) {
    Client c(port_);
    c.send(request);
    c.ended();
    return c.receive("", 0);
  }
  int status(const std::string& request) {
    const std::string answer = once(request);
    return answer.size() < 12 ? 0 : std::atoi(answer.c_str() + 9);
  }
  int get(const std::string& path, const std::string& headers) {
    return status("GET " + path + " HTTP/1.1\r\nConnection: close\r\n" + headers + "\r\n");
  }
  int post(const std::string& headers, const std::string& path = "/api/v1/restart") {
    return status("POST " + path + " HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n" +
                  headers + "\r\n");
  }

  asio::io_context home_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{home_.get_executor()};
  std::uint16_t port_ = 0;
  std::atomic<int> changes_{0};
  std::vector<HomeLoop::Done<int>> waiting_;  // home's
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(HttpServerTest, OnlyNamesOfOursAreAnswered) {
  start({}, {"berth.example", "10.1.1.1"});
  const std::string port = ":" + std::to_string(port_);
  for (const std::string good : {"127.0.0.1", "localhost", "[::1]", "127.1.2.3", "berth.example",
                                 "BERTH.example.", "10.1.1.1"})
    EXPECT_EQ(get("/metrics", "Host: " + good + port + "\r\n"), 200) << good;
  for (const std::string bad :
       {"evil.example", "10.1.1.2", "127.0.0.1.evil.example", "localhost.evil", "", "[::2]", "[",
        "a:b:c", "evil.example@127.0.0.1"})
    EXPECT_EQ(get("/livez", "Host: " + bad + "\r\n"), 403) << bad;
  EXPECT_EQ(get("/livez", ""), 400);
  EXPECT_EQ(get("/livez", "Host: localhost\r\nHost: localhost\r\n"), 400);
  EXPECT_EQ(status("GET /livez HTTP/1.0\r\n\r\n"), 200) << "a load balancer's check";
  EXPECT_EQ(status("GET /api/v1/status HTTP/1.0\r\n\r\n"), 401);
  const std::string absolute = "/livez HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(status("GET http://localhost" + port + absolute), 200);
  EXPECT_EQ(status("GET http://evil.example" + absolute), 403);
  EXPECT_EQ(server_->figures().refused_host, 10U);
}

TEST_F(HttpServerTest, PagesOfOtherSitesAreRefused) {
  start();
  const std::string host = "127.0.0.1:" + std::to_string(port_);
  const std::string h = "Host: " + host + "\r\n";
  for (const std::string bad :
       {"http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", "file://", ""})
    EXPECT_EQ(post(h + kGoodToken + "Origin: " + bad + "\r\n"), 403) << bad;
  for (const std::string bad : {"cross-site", "same-site", "other"})
    EXPECT_EQ(get("/metrics", h + "Sec-Fetch-Site: " + bad + "\r\n"), 403) << bad;
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(post(h + kGoodToken + "Origin: http://" + host + "\r\nSec-Fetch-Site: same-origin\r\n"),
            200);
  EXPECT_EQ(get("/metrics", h + "Sec-Fetch-Site: none\r\n"), 200);
}

TEST_F(HttpServerTest, ATokenIsNeededForAllButLooking) {
  start();
  const std::string h = "Host: localhost\r\n";
  EXPECT_EQ(post(h), 401);
  EXPECT_EQ(post(h + "Authorization: Bearer secre\r\n"), 401);
  EXPECT_EQ(post(h + "Authorization: Bearer secret2\r\n"), 401);
  EXPECT_EQ(post(h + "Authorization: Basic secret\r\n"), 401);
  EXPECT_EQ(post(h + "Authorization: Bearersecret\r\n"), 401);
  EXPECT_EQ(get("/api/v1/things", h), 401);
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(get("/api/v1/status", h), 200);
  EXPECT_EQ(get("/api/v1/status", "Host: 127.0.0.1\r\n"), 200);
  EXPECT_EQ(post(h, "/api/v1/status"), 401);
  for (const std::string scheme : {"Bearer", "bearer", "BEARER"})
    EXPECT_EQ(post(h + "Authorization: " + scheme + "  secret\r\n"), 200) << scheme;
  EXPECT_EQ(post(h + kGoodToken, "/api/v1/status"), 405);
}

TEST_F(HttpServerTest, TheLocalSocketNeedsNone) {
  start();
  Ask ask;
  ask.host = "127.0.0.1";
  ask.port = port_;
  ask.local = true;
  ask.method = "POST";
  ask.target = "/api/v1/restart";
  EXPECT_EQ(http_request(ask).status, 200);
  ask.host = "localhost";
  EXPECT_EQ(http_request(ask).status, 200);
  ask.local = false;
  EXPECT_EQ(http_request(ask).status, 401);
  ask.token = "secret";
  EXPECT_EQ(http_request(ask).status, 200);
  ask.local = true;
  ask.port = 1;
  EXPECT_THROW(http_request(ask), Unreachable);
}

// admin.socket: of this process and no other, whatever its HOST:PORT is called.
TEST_F(HttpServerTest, TheSocketAtAPathIsOfOneProcess) {
  namespace fs = std::filesystem;
  std::string name = fs::temp_directory_path() / "berth-socket-XXXXXX";
  const fs::path directory = mkdtemp(name.data());
  const std::string path = directory / "admin.sock";
  const Guard::Options guard{
      .listen_host = "127.0.0.1", .allowed_hosts = {}, .token = [] { return std::string("t"); }};
  Ask ask;
  ask.local = true;
  ask.socket = path;
  ask.method = "POST";
  ask.target = "/api/v1/restart";
  EXPECT_THROW(http_request(ask), Unreachable);
  start();
  ASSERT_TRUE(server_->listen_at(path, false, guard));
  EXPECT_TRUE(server_->has_socket());
  EXPECT_EQ(http_request(ask).status, 200);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);

  asio::io_context home;  // asked for nothing
  const auto other = [&home] {
    auto s = std::make_unique<HttpServer>(home);
    s->route("POST /api/v1/restart", [] {
      Response r;
      r.status = 418;
      return answered(r);
    });
    return s;
  };
  auto second = other();
  EXPECT_FALSE(second->listen_at(path, false, guard)) << "a process listens there";
  EXPECT_EQ(http_request(ask).status, 200);
  EXPECT_TRUE(second->listen_at(path, true, guard)) << "a successor takes its place";
  EXPECT_EQ(http_request(ask).status, 418);
  second->stop();
  const int given = second->give_socket();
  EXPECT_GE(given, 0);
  EXPECT_EQ(second->give_socket(), -1);
  auto third = other();
  third->adopt_socket(given, guard);
  EXPECT_EQ(http_request(ask).status, 418) << "the same socket of another server";
  third.reset();
  second.reset();
  auto fourth = other();
  EXPECT_TRUE(fourth->listen_at(path, false, guard)) << "what a dead process has left";
  fourth.reset();
  fs::remove(path);
  std::ofstream(path) << "a file";
  EXPECT_THROW(other()->listen_at(path, true, guard), std::runtime_error);
  EXPECT_TRUE(fs::is_regular_file(path));
  EXPECT_THROW(other()->listen_at(std::string(200, 'x'), true, guard), std::runtime_error);
  fs::remove_all(directory);
}

TEST_F(HttpServerTest, AnswersToHeadHaveNoBody) {
  start();
  Client c(port_);
  c.send(
      "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: "
      "localhost\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(c.ended());
  const std::string all = c.receive("", 0);
  EXPECT_NE(all.find("Content-Length: 300000\r\n"), std::string::npos);
  EXPECT_EQ(all.find("mmm"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\nalive\n")) << all;
}

TEST_F(HttpServerTest, RequestsInARowAreAnsweredInTheirOrder) {
  start();
  Client c(port_);
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += "PUT /api/v1/things/" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n" +
           kGoodToken + text_body(std::string(static_cast<std::size_t>(i), 'x'));
  c.send(all);
  const std::string answers = c.receive("/49  49 home\n");
  std::size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string wanted =
        "PUT /api/v1/things/" + std::to_string(i) + "  " + std::to_string(i) + " home\n";
    at = answers.find(wanted, at);
    ASSERT_NE(at, std::string::npos) << wanted;
  }
}

TEST_F(HttpServerTest, TheTokenComesBeforeTheBody) {
  start();
  Client c(port_);
  c.send(
      "POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_TRUE(c.receive("\r\n\r\n").starts_with("HTTP/1.1 401"));
  EXPECT_TRUE(c.ended());
  Client good(port_);
  good.send("POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n" +
            std::string(kGoodToken) + "Expect: 100-Continue\r\n\r\n");
  EXPECT_TRUE(good.receive("\r\n\r\n").starts_with("HTTP/1.1 100 Continue\r\n\r\n"));
  good.send("0123456789");
  EXPECT_NE(good.receive(" 10 home\n").find("HTTP/1.1 200"), std::string::npos);
  Client other(port_);
  other.send("POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n" +
             std::string(kGoodToken) + "Expect: a-miracle\r\n\r\n");
  EXPECT_TRUE(other.receive("\r\n\r\n").starts_with("HTTP/1.1 417"));
}

TEST_F(HttpServerTest, BodiesHaveALimitEachAndTogether) {
  Limits limits;
  limits.bodies_bytes = 1'500'000;
  start(limits);
  const std::string head =
      "POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\n" + std::string(kGoodToken);
  EXPECT_EQ(status(head + "Content-Length: 1048577\r\n\r\n"), 413);
  EXPECT_EQ(
      status(head + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + std::string(0x200000, 'x')),
      413);
  EXPECT_EQ(status(head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  {
    Client first(port_);
    first.send(head + "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    first.receive("100 Continue");
    EXPECT_EQ(status(head + "Content-Length: 1000000\r\n\r\n"), 503);
    EXPECT_EQ(status(head + text_body("small", "Connection: close\r\n")), 200);
  }
  Client again(port_);  // the first has given its bytes back as soon as its end is seen
  for (int i = 0; i < 1000; ++i) {
    if (status(head + text_body(std::string(1'000'000, 'x'), "Connection: close\r\n")) == 200)
      return;
  }
  FAIL() << "the bytes were not given back";
}

TEST_F(HttpServerTest, ManyIdleConnectionsKeepNobodyOut) {
  start();
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 300; ++i) {
    idle.push_back(std::make_unique<Client>(port_));
    if (i % 2 == 0) idle.back()->send("GET /livez HTTP/1.1\r\nHost: loc");
    if (i % 20 == 0) {
      EXPECT_EQ(get("/livez", "Host: localhost\r\n"), 200) << i;
      EXPECT_EQ(post("Host: localhost\r\n" + std::string(kGoodToken)), 200) << i;
    }
  }
  EXPECT_TRUE(idle.front()->ended());
  EXPECT_TRUE(idle.back()->open());
  EXPECT_LE(server_->figures().connections, 64U);
}

TEST_F(HttpServerTest, ProbesHaveRoomWhenAllOthersWork) {
  Limits limits;
  limits.connections = 4;
  limits.probe_connections = 2;
  start(limits);
  std::vector<std::unique_ptr<Client>> busy;
  const std::string head = "GET /api/v1/slow HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 4; ++i) {
    busy.push_back(std::make_unique<Client>(port_));
    busy.back()->send(head + kGoodToken + "\r\n");
  }
  while (server_->figures().requests < 4) std::this_thread::yield();
  EXPECT_EQ(get("/livez", "Host: localhost\r\n"), 200);
  EXPECT_EQ(get("/api/v1/status", "Host: localhost\r\n"), 503);
  asio::post(home_, [this] {
    for (const auto& done : waiting_) done(1);
  });
  for (auto& c : busy) EXPECT_NE(c->receive("slow\n").find("200 OK"), std::string::npos);
  EXPECT_EQ(get("/api/v1/status", "Host: localhost\r\n"), 200);
}

// Pages, metrics and the status need no credential, and whoever reads them slowly has a place
// meanwhile.
TEST_F(HttpServerTest, SlowReadersWithoutACredentialKeepNobodyOut) {
  Limits limits;
  limits.connections = 8;
  start(limits);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(std::make_unique<Client>(port_));
    for (int k = 0; k < 10; ++k)
      slow.back()->send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(post("Host: localhost\r\n" + std::string(kGoodToken)), 200) << i;
  }
  EXPECT_LE(server_->figures().connections, 8U);
}

TEST_F(HttpServerTest, SlowOnesAreLeft) {
  Limits limits;
  limits.idle = std::chrono::milliseconds(300);
  limits.head = std::chrono::milliseconds(300);
  limits.stalled = std::chrono::milliseconds(300);
  start(limits);
  Client silent(port_);
  Client half_head(port_);
  half_head.send("GET /livez HTTP/1.1\r\nHo");
  Client half_body(port_);
  half_body.send("POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n" +
                 std::string(kGoodToken) + "\r\n012");
  Client deaf(port_);
  for (int i = 0; i < 100; ++i) deaf.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(half_head.ended());
  EXPECT_TRUE(half_body.ended());
  while (server_->figures().connections != 0) std::this_thread::yield();
  EXPECT_EQ(changes_, 0);
}

TEST_F(HttpServerTest, ABodyMayTakeLongAsLongAsItComes) {
  Limits limits;
  limits.head = std::chrono::milliseconds(400);
  limits.idle = std::chrono::milliseconds(400);
  limits.stalled = std::chrono::milliseconds(2000);
  start(limits);
  Client c(port_);
  c.send("POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n" +
         std::string(kGoodToken) + "\r\n");
  for (int i = 0; i < 20; ++i) {
    c.receive("HTTP", 50);  // nothing comes: 50 ms
    c.send("x");
  }
  EXPECT_NE(c.receive(" 20 home\n").find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, OversizedAndMalformedHeads) {
  start();
  EXPECT_EQ(get("/livez", "Host: localhost\r\nX: " + std::string(20'000, 'x') + "\r\n"), 431);
  EXPECT_EQ(status("GET /" + std::string(70'000, 'x') + " HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            431);
  EXPECT_EQ(status("GARBAGE\r\n\r\n"), 400);
  EXPECT_EQ(status(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15)), 400);
  EXPECT_EQ(get("/nothing", "Host: localhost\r\n" + std::string(kGoodToken)), 404);
}

// Descriptors used up: probes are answered with the reserve, and waiting costs no CPU.
TEST_F(HttpServerTest, WithoutDescriptorsProbesAreAnsweredAndNothingSpins) {
  start();
  std::vector<std::unique_ptr<Client>> waiting;
  for (int i = 0; i < 10; ++i) waiting.push_back(std::make_unique<Client>(port_));
  while (server_->figures().connections < 10) std::this_thread::yield();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  const int probe = connect_loopback(port_);  // the highest descriptor in use, or nearly
  ::close(probe);
  std::vector<int> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  few.rlim_cur = static_cast<rlim_t>(clients.front());
  setrlimit(RLIMIT_NOFILE, &few);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (const int fd : clients) ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  const auto cpu_ms = [] {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000 + u.ru_stime.tv_sec * 1000 +
           u.ru_stime.tv_usec / 1000;
  };
  const std::string ask = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ::send(clients[0], ask.data(), ask.size(), MSG_NOSIGNAL);
  char answer[512];
  const ssize_t n = ::recv(clients[0], answer, sizeof answer, 0);
  EXPECT_TRUE(n > 12 && std::string(answer, 12) == "HTTP/1.1 200");
  const auto begin = cpu_ms();
  waiting[9]->receive("nothing", 1500);
  EXPECT_LT(cpu_ms() - begin, 300) << "of 1500 ms";
  setrlimit(RLIMIT_NOFILE, &before);
  for (const int fd : clients) {
    ::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL);
  }
  EXPECT_GT(::recv(clients.back(), answer, sizeof answer, 0), 12) << "who waited is answered now";
  for (const int fd : clients) ::close(fd);
}

TEST_F(HttpServerTest, StopsWhileRequestsAreInWork) {
  start();
  Client c(port_);
  c.send("GET /api/v1/slow HTTP/1.1\r\nHost: localhost\r\n" + std::string(kGoodToken) + "\r\n");
  while (server_->figures().requests < 1) std::this_thread::yield();
  server_->stop();
  EXPECT_TRUE(c.ended());
  server_.reset();  // what home still holds outlives it
}

TEST(TokenFile, IsMadeOnceAndOnlyItsOwnerReadsIt) {
  std::string d = std::filesystem::temp_directory_path() / "berth-token-XXXXXX";
  ASSERT_NE(mkdtemp(d.data()), nullptr);
  const std::string path = d + "/deep/data/admin.token";
  TokenFile first = TokenFile::read_or_make(path);
  EXPECT_TRUE(first.made());
  EXPECT_EQ(first.current().size(), 64U);
  const auto perms = [](const std::string& p) { return std::filesystem::status(p).permissions(); };
  EXPECT_EQ(perms(path), std::filesystem::perms(0600));
  EXPECT_EQ(perms(d + "/deep"), std::filesystem::perms(0700));
  TokenFile second = TokenFile::read_or_make(path);
  EXPECT_FALSE(second.made());
  EXPECT_EQ(second.current(), first.current());
  std::ofstream(path + ".new") << "another-one\n";
  std::filesystem::rename(path + ".new", path);
  EXPECT_EQ(second.current(), "another-one");
  std::filesystem::remove(path);
  EXPECT_EQ(second.current(), "another-one");
  std::ofstream(path) << "short\n";
  EXPECT_EQ(second.current(), "another-one") << "one that can be guessed is none";
  EXPECT_THROW(TokenFile::read(path), std::runtime_error);
  std::ofstream(path).close();
  EXPECT_THROW(TokenFile::read(path), std::runtime_error);
  std::filesystem::remove_all(d);
}

TEST(MediaTypes, AreExact) {
  const auto is = [](const std::string& said) {
    Request r;
    r.headers["content-type"] = said;
    return has_media_type(r, "application/yaml");
  };
  EXPECT_TRUE(is("application/yaml"));
  EXPECT_TRUE(is("Application/YAML ; charset=UTF-8"));
  EXPECT_FALSE(is("text/plain;x=yaml"));
  EXPECT_FALSE(is("text/plain; charset=application/yaml"));
  EXPECT_FALSE(is("application/yaml; x=y"));
  EXPECT_FALSE(is("application/yaml;charset=utf-8;x=y"));
  EXPECT_FALSE(is("application/yamlx"));
  EXPECT_FALSE(is(""));
}

}  // namespace
}  // namespace berth::gateway::admin
