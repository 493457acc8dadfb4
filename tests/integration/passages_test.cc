// Deploys, drains and deaths of a running gateway, as its API tells them (docs/api.md): whichever
// process is asked, and after restarts.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/loopback.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

namespace json = boost::json;

json::array passages(int port) {
  boost::system::error_code ec;
  const json::value v = json::parse(Rest(port).get("/api/v1/passages").body, ec);
  if (ec || !v.is_object() || !v.get_object().contains("items")) return {};
  return v.at("items").as_array();
}

int number(const json::object& of, const char* member) {
  return of.contains(member) ? of.at(member).to_number<int>() : -1;
}

json::object newest(int port, const std::string& what) {
  for (const json::value& item : passages(port)) {
    if (item.at("what").as_string() == what) return item.as_object();
  }
  return {};
}

bool becomes(const std::function<bool()>& condition) {
  return eventually(condition, std::chrono::seconds(30));
}

TEST(PassagesOfOneHost, OutliveEnginesAndTheGatewayAndCountLateCommands) {
  const Directory d;
  GatewayProcess g({"--config", d.file("berth.yaml",
                                       "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                                       "registry: {source: file, file: " +
                                           d.file("registry.yaml", kTwoTenants) + "}\n")});
  // It takes commands and never answers.
  const auto mute = subscribed(g.mqtt_port(), as("cam@acme", "secret", "cam"), "v1/cmd/#", 1);
  const RestAnswer taken =
      Rest(g.admin_port())
          .ask("POST", "/api/v1/commands",
               R"({"id":"c1","tenant":"acme","device":"cam","type":"open","ttl_ms":2000})",
               "Content-Type: application/json\r\n");
  ASSERT_EQ(taken.status, 202) << taken.body;
  g.signal_engine(SIGKILL);
  const auto known = [&g] {
    const json::object p = newest(g.admin_port(), "killed");
    return p.contains("late_commands") ? p : json::object();
  };
  ASSERT_TRUE(becomes([&] { return !known().empty(); }))
      << json::serialize(passages(g.admin_port()));
  const json::object first = known();
  EXPECT_EQ(number(first, "held"), 1) << first;
  EXPECT_EQ(number(first, "dropped"), 0) << first;
  EXPECT_EQ(number(first, "late_commands"), 1) << first;
  EXPECT_LE(number(first, "gap_p99_ms"), number(first, "gap_max_ms"));
  EXPECT_TRUE(first.at("of").as_string().starts_with("engine ")) << first;
  EXPECT_LT(first.at("begin").as_string(), first.at("end").as_string());

  Rest(g.admin_port()).ask("POST", "/api/v1/engine/restart");
  // When an edge tells the late commands, what it has told before is stored.
  ASSERT_TRUE(becomes([&] { return newest(g.admin_port(), "planned").contains("late_commands"); }));
  g.kill9();
  g.start();
  ASSERT_TRUE(becomes([&] { return passages(g.admin_port()).size() >= 2; }))
      << Rest(g.admin_port()).get("/api/v1/passages").body << g.log();
  EXPECT_EQ(newest(g.admin_port(), "killed"), first);
  EXPECT_EQ(Rest(g.admin_port(), "").get("/api/v1/passages").status, 401);
  EXPECT_EQ(Rest(g.admin_port()).get("/api/v1/passages?from=soon").status, 422);
  EXPECT_EQ(passages(g.admin_port()).size(), 2u);
  const RestAnswer none = Rest(g.admin_port()).get("/api/v1/passages?from=2100-01-01T00:00:00Z");
  EXPECT_NE(none.body.find("\"items\":[]"), std::string::npos) << none.body;
}

TEST(PassagesOfACluster, AreTheSameAtEachProcess) {
  Cluster c({.engines = 3, .edges = 2, .partitions = 2});
  ASSERT_TRUE(becomes([&c] {
    int held = 0;
    for (const int n : c.held()) held += n;
    return held == 2;
  }));
  std::vector<std::unique_ptr<RawClient>> devices;
  for (int i = 0; i < 6; ++i) {
    devices.push_back(std::make_unique<RawClient>(c.mqtt_ports()[static_cast<std::size_t>(i % 2)]));
    devices.back()->send(connect({.client_id = "d" + std::to_string(i)}));
    ASSERT_FALSE(devices.back()->until(2).empty());
  }
  const std::vector<int> held = c.held();
  const auto dead = static_cast<std::size_t>(
      std::distance(held.begin(), std::max_element(held.begin(), held.end())));
  c.engines[dead]->kill9();
  std::vector<int> others{c.edges[0]->admin_port(), c.edges[1]->admin_port()};
  for (std::size_t i = 0; i < c.engines.size(); ++i) {
    if (i != dead) others.push_back(c.engines[i]->admin_port());
  }
  const auto whole = [&](int port) {
    const json::object p = newest(port, "killed");
    return !p.empty() && number(p, "edges") == 2 && p.contains("late_commands");
  };
  for (const int port : others)
    ASSERT_TRUE(becomes([&] { return whole(port); })) << json::serialize(passages(port));
  const json::object first = newest(others[0], "killed");
  for (const int port : others) EXPECT_EQ(newest(port, "killed"), first);
  EXPECT_EQ(first.at("partitions").as_array().size(), static_cast<std::size_t>(held[dead]));
  EXPECT_EQ(number(first, "dropped"), 0) << first;
  EXPECT_GT(number(first, "held"), 0) << first;
  for (auto& device : devices) {
    device->send(std::string("\xc0\0", 2));
    EXPECT_FALSE(device->until(13).empty()) << "its connection is there";
  }

  // An edge that ends tells who it has sent away.
  c.edges[1]->process().send(SIGTERM);
  ASSERT_TRUE(becomes([&] { return !newest(others[0], "edge_drain").empty(); }))
      << json::serialize(passages(others[0]));
  EXPECT_EQ(number(newest(others[0], "edge_drain"), "dropped"), 3);
  EXPECT_EQ(c.edges[1]->process().wait(std::chrono::seconds(60)), 0);
}

TEST(PassagesOfACluster, TellOfAnEdgeThatWasUpgraded) {
  const Directory d;
  const std::string config =
      d.file("edge.yaml", "cluster: {handover: " + d.path + "/handover.sock}\n");
  Cluster c({.engines = 1, .edges = 1, .engine_flags = {}, .edge_flags = {"--config", config}});
  ASSERT_NE(c.active(), nullptr);
  RawClient device(c.mqtt_ports()[0]);
  device.send(connect({.client_id = "d"}));
  ASSERT_FALSE(device.until(2).empty());
  const auto before = c.replace_edge(0);
  const int engine = c.engines[0]->admin_port();
  ASSERT_TRUE(becomes([&] { return !newest(engine, "edge").empty(); }))
      << json::serialize(passages(engine)) << c.edges[0]->log();
  EXPECT_EQ(number(newest(engine, "edge"), "held"), 1);
  EXPECT_EQ(number(newest(engine, "edge"), "dropped"), 0);
  device.send(std::string("\xc0\0", 2));
  EXPECT_FALSE(device.until(13).empty()) << "its connection is there";
}

}  // namespace
}  // namespace berth::test
