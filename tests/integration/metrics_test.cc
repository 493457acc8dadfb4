// /metrics as it is asked for, and what it says of the ends of connections. Both shapes.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

class Metrics : public ::testing::TestWithParam<const char*> {
 protected:
  static std::vector<std::string> flags() {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, Metrics, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

std::string ended(const std::string& reason) {
  return "berth_connection_closed_total{reason=\"" + reason + "\"}";
}
std::string unready(const std::string& reason) {
  return "berth_connections_closed_before_login_total{reason=\"" + reason + "\"}";
}

TEST_P(Metrics, AGoodbyeIsToldFromADeviceThatVanishes) {
  GatewayProcess g(flags());
  const auto device = [&](const char* id) {
    auto c = std::make_unique<RawClient>(g.mqtt_port());
    c->send(connect({.client_id = id}));
    EXPECT_FALSE(c->until(2).empty());
    return c;
  };
  const auto count = [&](const std::string& name, int n) {
    EXPECT_TRUE(eventually([&] { return g.metric(name) == n; })) << name << " " << g.metric(name);
  };
  auto polite = device("polite");
  polite->send(from_hex("e0 00"));
  count(ended("client"), 1);
  for (int i = 0; i < 20; ++i) {  // in one segment with the FIN, behind a PUBLISH that waits
    auto hurried = device("hurried");
    hurried->send(publish("a", "x", 1, 1) + from_hex("e0 00"));
    hurried->close();
  }
  count(ended("client"), 21);
  EXPECT_EQ(g.metric(ended("peer_closed")), 0);
  device("silent")->close();
  count(ended("peer_closed"), 1);
  auto half = device("half");
  half->send(from_hex("e0"));  // no whole packet
  half->close();
  count(ended("peer_closed"), 2);
  const int broken = connect_loopback(g.mqtt_port());
  const std::string hello = connect({.client_id = "broken"});
  char connack[64];
  ASSERT_EQ(::send(broken, hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
  ASSERT_GT(::recv(broken, connack, sizeof connack, 0), 0);
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(broken, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::close(broken);
  count(ended("peer_reset"), 1);
  RawClient old(g.mqtt_port());
  old.send(from_hex("10 0e 00 04 4d 51 54 54 09 02 00 3c 00 02 61 62"));  // version 9
  EXPECT_TRUE(old.closed_within(std::chrono::seconds(10)));
  count(unready("refused"), 1);
  RawClient(g.mqtt_port()).close();  // a port scan
  count(unready("peer_closed"), 1);
  EXPECT_EQ(g.metric(ended("client")), 21);
  EXPECT_EQ(g.metric(ended("peer_closed")), 2) << "nobody who had not logged in";
}

TEST_P(Metrics, LatenciesAreCountedWhereTheyAre) {
  GatewayProcess g(flags());
  RawClient c(g.mqtt_port());
  c.send(connect({.client_id = "c"}));
  ASSERT_FALSE(c.until(2).empty());
  c.send(subscribe(1, "a", 1));
  ASSERT_FALSE(c.until(9).empty());
  for (std::uint16_t i = 1; i <= 10; ++i) c.send(publish("a", "x", 1, i));
  const auto count = [&](const char* name) { return g.metric(std::string(name) + "_count"); };
  EXPECT_TRUE(eventually([&] { return count("berth_acknowledgement_seconds") == 10; }));
  EXPECT_GT(g.metric("berth_acknowledgement_seconds_sum"), 0);
  EXPECT_GE(count("berth_authentication_seconds"), 1);
  EXPECT_EQ(count("berth_redis_round_trip_seconds"), 0);
  EXPECT_TRUE(eventually([&] { return count("berth_engine_loop_lag_seconds") >= 1; }));
  EXPECT_TRUE(eventually([&] { return count("berth_edge_loop_lag_seconds") >= 1; }));
  EXPECT_EQ(count("berth_engine_gap_seconds"), 0);
  if (*GetParam() != 0) return;
  g.signal_engine(SIGKILL);
  EXPECT_TRUE(eventually([&] { return count("berth_engine_gap_seconds") == 1; }));
}

TEST_P(Metrics, AProcessHasTheStandardMetrics) {
  GatewayProcess g(flags());
  std::vector<std::string> roles{"edge"};
  if (*GetParam() == 0) roles.emplace_back("engine");
  for (const std::string& role : roles) {
    for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                             "process_start_time_seconds", "process_open_fds", "process_max_fds"})
      EXPECT_GT(g.metric(std::string(name) + "{role=\"" + role + "\"}"), 0) << name << role;
  }
  EXPECT_EQ(g.metric("berth_ready"), 1);
  if (*GetParam() == 0) {
    EXPECT_TRUE(eventually([&] { return g.metric("berth_standby_engines") == 1; }));
  }
}

// 1,000 tenants with a site each: 36,000 series, were there no bound.
TEST_P(Metrics, SeriesHaveABoundAndAreTheSameNextTime) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("berth-metrics-" + std::to_string(getpid()) + ".yaml");
  std::ofstream registry(path);
  registry << "tenants:\n";
  for (int i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i);
    registry << "- {name: t" << n << ", sites: [{name: s" << n << "}], devices: [{name: d, site: s"
             << n << ", credentials: [{auth_id: d, password: p}]}]}\n";
  }
  registry.close();
  setenv("BERTH_REGISTRY_SOURCE", "file", 1);
  setenv("BERTH_REGISTRY_FILE", path.c_str(), 1);
  setenv("BERTH_REGISTRY_PASSWORD_ITERATIONS", "1", 1);
  GatewayProcess g(flags());
  for (const char* name : {"SOURCE", "FILE", "PASSWORD_ITERATIONS"})
    unsetenv((std::string("BERTH_REGISTRY_") + name).c_str());
  std::filesystem::remove(path);
  std::vector<std::unique_ptr<RawClient>> devices;
  for (int i = 0; i < 1000; ++i) {
    devices.push_back(std::make_unique<RawClient>(g.mqtt_port()));
    devices.back()->send(connect({.client_id = "d" + std::to_string(i),
                                  .user = "d@t" + std::to_string(i),
                                  .password = "p"}));
  }
  for (const auto& d : devices) ASSERT_FALSE(d->until(2).empty());
  const auto names = [&g] {
    std::set<std::string> all;
    std::istringstream page(g.get("/metrics"));
    for (std::string line; std::getline(page, line);) {
      if (line.starts_with("#")) continue;
      EXPECT_TRUE(all.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
    return all;
  };
  EXPECT_TRUE(
      eventually([&] { return g.metric("berth_tenant_connections{tenant=\"_other\"}") > 0; }));
  const std::set<std::string> first = names();
  std::printf("%zu series\n", first.size());
  EXPECT_LE(first.size(), 5000u);
  EXPECT_GT(first.size(), 4000u);
  std::size_t of_tenants = 0;
  for (const std::string& n : first) of_tenants += n.starts_with("berth_tenant_") ? 1 : 0;
  EXPECT_LE(first.size() - 2 * of_tenants, 600u) << "what is of no tenant or site";
  devices.resize(500);
  EXPECT_EQ(names(), first);
}

// Two devices with one client id, each of which comes back as soon as it is thrown out.
TEST_P(Metrics, AFightOverASessionIsCounted) {
  GatewayProcess g(flags());
  std::vector<std::unique_ptr<RawClient>> twins;
  for (int i = 0; i < 12; ++i) {
    twins.push_back(std::make_unique<RawClient>(g.mqtt_port()));
    twins.back()->send(connect({.client_id = "twin"}));
    ASSERT_FALSE(twins.back()->until(2).empty());
  }
  EXPECT_TRUE(eventually([&] { return g.metric("berth_take_over_fights_total") == 2; }));
}

}  // namespace
}  // namespace berth::test
