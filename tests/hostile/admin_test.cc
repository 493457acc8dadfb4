// Attacks on the admin port of every role: a web page in an operator's browser, whoever reaches the
// port without a token, and files that are meant to be too much.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/cluster.h"
#include "tests/support/rest.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

struct Directory {
  Directory() : path(std::filesystem::temp_directory_path() / "berth-admin-XXXXXX") {
    if (mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    const std::string at = path + "/" + name;
    std::ofstream(at + ".new") << text;
    std::filesystem::rename(at + ".new", at);
    return at;
  }
  std::string path;
};

constexpr const char* kStore =
    "registry: {source: store, refresh_ms: 200, password_iterations: 3}\n";

class AdminOf : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string role = GetParam();
    const std::string config = directory_.file("berth.yaml", kStore);
    if (role == "serve" || role == "single") {
      std::vector<std::string> flags{"--config", config, "--anonymous"};
      if (role == "single") flags.emplace_back("--single-process");
      one_ = std::make_unique<GatewayProcess>(flags);
    } else {
      cluster_ = std::make_unique<Cluster>(Cluster::Options{
          .engines = 1, .edges = 1, .engine_flags = {"--config", config}, .edge_flags = {}});
    }
    registry_ = role != "edge";
    EXPECT_TRUE(eventually([&] { return probe("/readyz") == 200; }));
  }
  GatewayProcess& gateway() {
    return one_                                ? *one_
           : std::string(GetParam()) == "edge" ? *cluster_->edges[0]
                                               : *cluster_->engines[0];
  }
  int mqtt() { return one_ ? one_->mqtt_port() : cluster_->edges[0]->mqtt_port(); }
  int admin() { return gateway().admin_port(); }
  int probe(const std::string& target) { return Rest(admin(), "").get(target).status; }
  // A change that every role knows, if it were let in.
  std::string change() { return one_ ? "/api/v1/engine/restart" : "/api/v1/drain"; }

  Directory directory_;
  std::unique_ptr<GatewayProcess> one_;
  std::unique_ptr<Cluster> cluster_;
  bool registry_ = true;
};

TEST_P(AdminOf, NothingIsChangedWithoutATokenOrByAPage) {
  const Rest nobody(admin(), "");
  const Rest good(admin());
  const std::string yaml =
      "tenants: [{name: evil, accounts: [{name: e, role: service, credentials: "
      "[{auth_id: e, password: e}]}]}]";
  const std::string import = "/api/v1/registry/import";
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    EXPECT_EQ(nobody.ask(method, change()).status, 401) << method;
    EXPECT_EQ(nobody.ask(method, "/api/v1/tenants/evil", "{}").status, 401) << method;
  }
  EXPECT_EQ(nobody.get("/api/v1/tenants").status, 401);
  EXPECT_EQ(nobody.get("/api/v1/status").status, 200) << "from this host";
  EXPECT_EQ(nobody.ask("POST", import, yaml, "Content-Type: text/plain;x=yaml\r\n").status, 401);
  // Whatever a browser can be made to send, its token too.
  for (const char* mark : {"Origin: http://evil.example\r\n", "Origin: null\r\n",
                           "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n"}) {
    EXPECT_EQ(good.ask("POST", change(), {}, mark).status, 403) << mark;
    EXPECT_EQ(good.ask("GET", "/metrics", {}, mark).status, 403) << mark;
  }
  if (registry_) {
    for (const char* type : {"text/plain;x=yaml", "application/yaml;x=y", "multipart/form-data"})
      EXPECT_EQ(good.import(yaml, type).status, 415) << type;
    EXPECT_EQ(good.get("/api/v1/tenants/evil").status, 404);
  }
  EXPECT_EQ(probe("/readyz"), 200);
  EXPECT_TRUE(gateway().process().running());
  const double refused = gateway().metric("berth_admin_requests_refused_total{reason=\"origin\"}");
  EXPECT_EQ(refused, 8);
}

TEST_P(AdminOf, BodiesOfThoseWhoMayNotCostNothing) {
  Victim victim({.port = mqtt()});
  const pid_t pid = gateway().process().pid();
  const std::uint64_t before = resident_bytes(pid);
  std::vector<int> open;
  const std::string head =
      "POST /api/v1/registry/import HTTP/1.1\r\nHost: 127.0.0.1\r\n"
      "Content-Type: text/csv\r\nContent-Length: 60000000\r\n\r\n";
  const std::string part(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) {
    const int fd = connect_loopback(admin());
    ASSERT_GE(fd, 0);
    open.push_back(fd);
    ::send(fd, head.data(), head.size(), MSG_NOSIGNAL);
    for (int n = 0; n < 4; ++n) ::send(fd, part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  EXPECT_EQ(probe("/livez"), 200);
  for (const int fd : open) ::close(fd);
  EXPECT_LT(resident_peak_bytes(pid), before + 32 * kMiB);
  const VictimReport r = victim.stop();
  EXPECT_EQ(r.closed, 0U) << r.text();
  EXPECT_EQ(r.sent, r.received) << r.text();
  std::printf("%s: peak +%.1f MiB, %s\n", GetParam(),
              static_cast<double>(resident_peak_bytes(pid) - before) / kMiB, r.text().c_str());
}

TEST_P(AdminOf, IdleConnectionsKeepNobodyOut) {
  std::vector<int> idle;
  const std::string half = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-";
  for (int i = 0; i < 300; ++i) {
    idle.push_back(connect_loopback(admin()));
    if (i % 2 == 0) ::send(idle.back(), half.data(), half.size(), MSG_NOSIGNAL);
    if (i % 50 != 49) continue;
    EXPECT_EQ(probe("/livez"), 200) << i;
    EXPECT_EQ(probe("/readyz"), 200) << i;
    EXPECT_EQ(probe("/api/v1/status"), 200) << i;
  }
  for (const int fd : idle) ::close(fd);
  EXPECT_LE(gateway().metric("berth_admin_connections"), 64);
}

INSTANTIATE_TEST_SUITE_P(All, AdminOf, ::testing::Values("serve", "single", "edge", "engine"),
                         [](const auto& each) { return std::string(each.param); });

// On the gateway's host, as its user, `berth ctl` needs no flag but the address.
TEST(AdminCtl, FindsItsWayOnTheSameHost) {
  GatewayProcess g;
  const std::string port = std::to_string(g.admin_port());
  const auto ctl = [&](std::vector<std::string> words, std::string* said = nullptr) {
    words.insert(words.begin(), {berth_binary(), "ctl"});
    Process p(words, g.directory() + "/ctl.log");
    const int code = p.wait(std::chrono::seconds(60));
    if (said != nullptr) *said = p.log();
    return code;
  };
  std::string said;
  EXPECT_EQ(ctl({"--admin", "127.0.0.1:" + port, "status", "--json"}, &said), 0) << said;
  EXPECT_NE(said.find("\"shape\":\"supervised\""), std::string::npos) << said;
  EXPECT_EQ(ctl({"--admin", "localhost:" + port, "ready"}), 0);
  EXPECT_EQ(ctl({"restart-engine", "--admin", "127.0.0.1:" + port}, &said), 0) << said;
  EXPECT_NE(said.find("engine replaced"), std::string::npos) << said;
  EXPECT_EQ(ctl({"--token-file", g.directory() + "/data/admin.token", "--admin",
                 "127.0.0.1:" + port, "restart-engine"}),
            0);
  const std::string wrong = g.directory() + "/wrong";
  std::ofstream(wrong) << "a-wrong-token\n";
  EXPECT_EQ(ctl({"--token-file", wrong, "--admin", "127.0.0.1:" + port, "restart-engine"}, &said),
            1);
  EXPECT_NE(said.find("--token-file"), std::string::npos) << said;
  EXPECT_EQ(ctl({"--admin", "127.0.0.1:1", "status"}), 69);
  EXPECT_EQ(ctl({"statsu"}, &said), 64);
  EXPECT_NE(said.find("Did you mean 'status'"), std::string::npos) << said;
  EXPECT_EQ(ctl({"--adnim", "127.0.0.1:" + port, "status"}, &said), 64);
  EXPECT_NE(said.find("Did you mean '--admin'"), std::string::npos) << said;
}

// What an operator does most on the gateway's host needs no token in a hand.
TEST(AdminCtl, ImportsARegistryOnTheSameHost) {
  std::string name = std::filesystem::temp_directory_path() / "berth-import-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  {
    std::ofstream(directory + "/berth.yaml") << "registry: {source: store}\n";
    GatewayProcess g({"--config", directory + "/berth.yaml"});
    const auto ctl = [&](std::vector<std::string> words, std::string& said) {
      words.insert(words.begin(), {berth_binary(), "ctl", "--admin",
                                   "127.0.0.1:" + std::to_string(g.admin_port())});
      Process p(words, directory + "/ctl.log");
      const int code = p.wait(std::chrono::seconds(60));
      said = p.log();
      return code;
    };
    std::string said;
    std::ofstream(directory + "/some.yaml") << "tenants: [{name: acme, sites: [{name: north}]}]\n";
    EXPECT_EQ(ctl({"registry", "import", directory + "/some.yaml"}, said), 0) << said;
    std::ofstream(directory + "/some.csv") << "tenant,site,device\nacme,north,cam\n";
    EXPECT_EQ(ctl({"registry", "import", directory + "/some.csv"}, said), 0) << said;
    EXPECT_EQ(ctl({"registry", "export"}, said), 0);
    EXPECT_NE(said.find("cam"), std::string::npos) << said;
    EXPECT_EQ(ctl({"registry", "import", directory + "/none.yaml"}, said), 69);
    EXPECT_NE(said.find("none.yaml: can't be read"), std::string::npos) << said;
  }
  std::filesystem::remove_all(directory);
}

// Small files that would become large ones, and large ones: an answer, a bounded memory, and
// devices that do not notice.
TEST(AdminImport, BombsAreRefusedBesideDevices) {
  const Directory d;
  GatewayProcess g({"--config", d.file("berth.yaml", kStore), "--anonymous"});
  const Rest rest(g.admin_port());
  ASSERT_EQ(rest.import("tenants: [{name: acme, sites: [{name: north}]}]").status, 200);
  Victim victim({.port = g.mqtt_port()});
  const pid_t pid = g.process().pid();
  const std::uint64_t before = resident_bytes(pid);
  std::string aliases = "tenants:\n  - name: t0\n    devices: &d\n";
  for (int i = 0; i < 500; ++i)
    aliases += "      - {name: d" + std::to_string(i) + ", site: s, labels: {a: b}}\n";
  for (int i = 1; i < 2000; ++i) aliases += "  - {name: t" + std::to_string(i) + ", devices: *d}\n";
  RestAnswer a = rest.import(aliases);
  EXPECT_EQ(a.status, 422);
  EXPECT_NE(a.body.find("anchors and aliases"), std::string::npos) << a.body;
  std::string many = "tenants: [{name: acme, sites: [";
  for (int i = 0; i < 120'000; ++i) many += "{name: s" + std::to_string(i) + "},";
  EXPECT_EQ(rest.import(many + "]}]").status, 422);
  EXPECT_EQ(rest.import(std::string(200'000, '[')).status, 422);
  EXPECT_EQ(rest.import("tenants: [" + std::string(3'000'000, ',') + "]").status, 422);
  std::string csv = "tenant,site,device,auth_id,password\n";
  for (int i = 0; i < 5'000; ++i) {
    const std::string n = std::to_string(i);
    csv += "acme,north,d" + n + ",d" + n + ",p\n";
  }
  EXPECT_EQ(rest.import(csv, "text/csv").status, 200);
  const VictimReport r = victim.stop();
  EXPECT_EQ(r.closed, 0U) << r.text();
  EXPECT_EQ(r.sent, r.received) << r.text();
  EXPECT_LT(r.p99_ms, 500) << r.text();
  EXPECT_LT(resident_peak_bytes(pid), before + 400 * kMiB);
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 0);
  std::printf("peak +%.0f MiB, %s\n", static_cast<double>(resident_peak_bytes(pid) - before) / kMiB,
              r.text().c_str());
}

// A port-forward or a site's uplink: slower than any limit in all would allow, never silent for
// long.
TEST(AdminImport, MayComeSlowly) {
  const Directory d;
  GatewayProcess g({"--config", d.file("berth.yaml", kStore)});
  ASSERT_EQ(Rest(g.admin_port()).import("tenants: [{name: a, sites: [{name: s}]}]").status, 200);
  std::string csv = "tenant,site,device\n";
  for (int i = 0; i < 120; ++i) csv += "a,s,d" + std::to_string(i) + "\n";
  const int fd = connect_loopback(g.admin_port());
  const std::string head =
      "POST /api/v1/registry/import HTTP/1.1\r\nHost: 127.0.0.1\r\n"
      "Connection: close\r\nContent-Type: text/csv\r\nAuthorization: Bearer " +
      g.admin_token() + "\r\nContent-Length: " + std::to_string(csv.size()) + "\r\n\r\n";
  ::send(fd, head.data(), head.size(), MSG_NOSIGNAL);
  const auto begin = Clock::now();
  for (std::size_t at = 0; at < csv.size(); at += 10) {
    eventually([] { return false; }, std::chrono::milliseconds(110));
    const std::string part = csv.substr(at, 10);
    ::send(fd, part.data(), part.size(), MSG_NOSIGNAL);
  }
  EXPECT_GT(Clock::now() - begin, std::chrono::seconds(10));
  std::string answer(4096, ' ');
  const ssize_t n = ::recv(fd, answer.data(), answer.size(), 0);
  ::close(fd);
  answer.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  EXPECT_NE(answer.find("HTTP/1.1 200"), std::string::npos) << answer;
}

// Prometheus twice, the kubelet and an operator at a time: every page is whole.
TEST(AdminPages, EachOfThoseWhoAskAtATimeGetsAnAnswer) {
  GatewayProcess g;
  std::atomic<int> incomplete{0};
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&, i] {
      const Rest rest(g.admin_port());
      for (int n = 0; n < 50; ++n) {
        const RestAnswer a = rest.get(i % 2 == 0 ? "/metrics" : "/readyz");
        const bool whole = i % 2 != 0 || a.body.find("berth_device_sessions") != std::string::npos;
        incomplete += a.status == 200 && whole ? 0 : 1;
      }
    });
  }
  for (auto& t : all) t.join();
  EXPECT_EQ(incomplete, 0);
}

TEST(AdminPages, ReadyzSaysWhyNot) {
  const Directory d;
  const std::string good = "tenants: [{name: acme}]\n";
  const std::string file = d.file("registry.yaml", good);
  GatewayProcess g(
      {"--config",
       d.file("berth.yaml", "registry: {source: file, refresh_ms: 100, file: " + file + "}\n")});
  const Rest rest(g.admin_port());
  EXPECT_EQ(rest.get("/readyz").body, "ok\n");
  EXPECT_EQ(g.metric("berth_registry_up"), 1);
  EXPECT_GT(g.metric("berth_data_directory_free_bytes"), 0);
  EXPECT_EQ(g.metric("berth_store_damaged"), 0);
  d.file("registry.yaml", "tenants: [{name: '!'}]\n");
  EXPECT_TRUE(eventually([&] { return rest.get("/readyz").status == 503; }));
  EXPECT_NE(rest.get("/readyz").body.find("- the registry: "), std::string::npos)
      << rest.get("/readyz").body;
  EXPECT_NE(rest.get("/api/v1/status").body.find("\"not_ready\":[\"the registry"),
            std::string::npos);
  EXPECT_EQ(g.metric("berth_registry_up"), 0);
  d.file("registry.yaml", good + "\n");
  EXPECT_TRUE(eventually([&] { return rest.get("/readyz").status == 200; }));
}

}  // namespace
}  // namespace berth::test
