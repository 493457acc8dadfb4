// Sessions of the console in running gateways: log-out ends them everywhere and for good, and
// streams end with them.
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/loopback.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

const std::string kRefusedSession = "berth_admin_requests_refused_total{reason=\"session\"}";
const std::string kRefusedToken = "berth_admin_requests_refused_total{reason=\"token\"}";

// A page that has logged in, or somebody with a copy of its cookie.
struct PageOf {
  std::string cookie, csrf;
  // `credential`: a bearer token or key.
  PageOf(int port, const std::string& credential) {
    const RestAnswer a = Rest(port, credential).ask("POST", "/api/v1/session");
    EXPECT_EQ(a.status, 201) << a.body;
    const std::size_t at = a.head.find("berth-session=");
    cookie = at == std::string::npos ? "" : a.head.substr(at, a.head.find(';', at) - at);
    const std::size_t token = a.body.find("\"csrf\":\"") + 8;
    csrf = a.body.substr(token, a.body.find('"', token) - token);
  }
  RestAnswer get(int port, const std::string& target) const {
    return Rest(port, "").ask("GET", target, "", "Cookie: " + cookie + "\r\n");
  }
  int status(int port) const { return get(port, "/api/v1/board?tenant=acme").status; }
  int log_out(int port) const {
    return Rest(port, "")
        .ask("DELETE", "/api/v1/session", "",
             "Cookie: " + cookie + "\r\nX-Berth-CSRF: " + csrf + "\r\n")
        .status;
  }
};

// A stream of events, begun with these header lines.
class OpenStream {
 public:
  OpenStream(int port, const std::string& headers) : fd_(connect_loopback(port)) {
    const std::string out =
        "GET /api/v1/events?tenant=acme HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n";
    EXPECT_EQ(::send(fd_, out.data(), out.size(), MSG_NOSIGNAL), static_cast<ssize_t>(out.size()));
    const timeval limit{0, 50'000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~OpenStream() { ::close(fd_); }
  bool begins() {
    return eventually([&] {
      read();
      return all_.find("text/event-stream") != std::string::npos;
    });
  }
  bool ends() {
    return eventually([&] { return read() == 0; }, std::chrono::seconds(20));
  }
  bool is_open() { return read() != 0; }

 private:
  ssize_t read() {
    char buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) all_.append(buffer, static_cast<std::size_t>(n));
    return n;
  }
  int fd_;
  std::string all_;
};

std::string registry_with(const Directory& d, const std::string& password) {
  std::string all = kTwoTenants;
  const std::string was =
      "{name: platform, role: service, credentials: [{auth_id: platform, password: p}]}";
  all.replace(all.find(was), was.size(),
              "{name: platform, role: service, api: [read], credentials: [{auth_id: platform, "
              "password: " +
                  password + "}]}");
  return d.file("registry.yaml", all);
}

std::string config_in(const Directory& d) {
  return d.file("berth.yaml",
                "auth: {failures_per_name: 3, failures_per_address: 0}\n"
                "registry: {source: file, refresh_ms: 200, file: " +
                    registry_with(d, "p") + "}\n");
}

TEST(ConsoleSession, EndsAtTheGatewayAndForGood) {
  const Directory d;
  GatewayProcess g({"--config", config_in(d)});
  const int admin = g.admin_port();
  const PageOf page(admin, g.admin_token());
  const PageOf other(admin, g.admin_token());
  EXPECT_EQ(page.status(admin), 200);
  OpenStream stream(admin, "Cookie: " + page.cookie + "\r\n");
  OpenStream others(admin, "Cookie: " + other.cookie + "\r\n");
  ASSERT_TRUE(stream.begins() && others.begins());
  const double token_before = g.metric(kRefusedToken);
  EXPECT_EQ(page.log_out(admin), 204);
  const RestAnswer copied = page.get(admin, "/api/v1/board?tenant=acme");
  EXPECT_EQ(copied.status, 401);
  EXPECT_NE(copied.body.find("\"session_ended\""), std::string::npos) << copied.body;
  EXPECT_EQ(page.get(admin, "/").status, 200) << "the page itself is for everybody";
  EXPECT_TRUE(stream.ends());
  EXPECT_TRUE(others.is_open()) << "the stream of another session";
  EXPECT_EQ(other.status(admin), 200);
  g.signal_engine(SIGKILL);
  EXPECT_TRUE(eventually([&] { return other.status(admin) == 200; }));
  EXPECT_EQ(page.status(admin), 401);
  EXPECT_GE(g.metric(kRefusedSession), 2);
  EXPECT_EQ(g.metric(kRefusedToken), token_before) << "no failed attempts to log in";
  g.kill9();
  g.start();
  EXPECT_TRUE(eventually([&] { return other.status(g.admin_port()) == 200; }));
  EXPECT_EQ(page.status(g.admin_port()), 401) << "after a restart of everything";
}

TEST(ConsoleSession, EndsWithItsCredentialAndIsNoFailedAttempt) {
  const Directory d;
  GatewayProcess g({"--config", config_in(d)});
  const int admin = g.admin_port();
  const PageOf page(admin, "platform@acme:p");
  OpenStream stream(admin, "Cookie: " + page.cookie + "\r\n");
  ASSERT_TRUE(stream.begins());
  registry_with(d, "another");
  EXPECT_TRUE(eventually([&] { return page.status(admin) == 401; }));
  EXPECT_TRUE(stream.ends());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(page.status(admin), 401);
  EXPECT_EQ(Rest(admin, "platform@acme:another").get("/api/v1/board").status, 200)
      << "nobody has guessed";
}

TEST(ConsoleSession, EndsAtEachProcessOfACluster) {
  const Directory d;
  const std::string config = config_in(d);
  Cluster c({.engines = 2,
             .edges = 2,
             .engine_flags = {"--config", config},
             .edge_flags = {},
             .partitions = 2,
             .anonymous = false});
  const int here = c.edges[0]->admin_port();
  const std::vector<int> others{c.edges[1]->admin_port(), c.engines[0]->admin_port(),
                                c.engines[1]->admin_port()};
  ASSERT_TRUE(
      eventually([&] { return Rest(here, "platform@acme:p").get("/api/v1/board").status == 200; }));
  const PageOf page(here, "platform@acme:p");
  for (const int port : others)
    EXPECT_TRUE(eventually([&] { return page.status(port) == 200; })) << port;
  OpenStream stream(others[0], "Cookie: " + page.cookie + "\r\n");
  ASSERT_TRUE(stream.begins());
  EXPECT_EQ(page.log_out(here), 204);
  EXPECT_EQ(page.status(here), 401);
  for (const int port : others)
    EXPECT_TRUE(eventually([&] { return page.status(port) == 401; })) << port;
  EXPECT_TRUE(stream.ends());
}

}  // namespace
}  // namespace berth::test
