// Presence and history of devices in running gateways, as a back end sees them: events over MQTT,
// lists over REST (docs/platform.md).
#include <gtest/gtest.h>

#include <string>

#include "tests/support/gateway_process.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

std::string next_publish(RawClient& c) {
  const auto packets = c.until(3);
  if (packets.empty() || packets.back().type != 3) return "nothing";
  const Packet& p = packets.back();
  if (p.qos() == 1) c.send(ack(4, p.id()));
  return p.topic() + " " + p.payload(5);
}

class PresenceShapes : public ::testing::TestWithParam<const char*> {
 protected:
  PresenceShapes() : gateway_(flags(d_)) {}
  static std::vector<std::string> flags(const Directory& d) {
    std::vector<std::string> all{
        "--config", d.file("berth.yaml",
                           "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                           "presence: {offline_after_s: 1}\nsession: {restart_grace_s: 1}\n"
                           "registry: {source: file, file: " +
                               d.file("registry.yaml", kTwoTenants) + "}\n")};
    if (std::string(GetParam()) == "single") all.emplace_back("--single-process");
    return all;
  }
  RestAnswer get(const std::string& target) const {
    return Rest(gateway_.admin_port()).get("/api/v1/" + target);
  }
  static bool has(const RestAnswer& a, const std::string& text) {
    return a.body.find(text) != std::string::npos;
  }
  static std::size_t times(const RestAnswer& a, const std::string& text) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = a.body.find(text, at)) != std::string::npos; ++at) ++n;
    return n;
  }
  const Directory d_;
  GatewayProcess gateway_;
};

TEST_P(PresenceShapes, TheDeathOfAnEngineIsNoEventAndLosesNone) {
  const int port = gateway_.mqtt_port();
  const auto service = subscribed(port, as("platform@acme", "p", "backend"), "v1/+/+/presence", 1);
  auto cam = connected(port, as("cam@acme", "secret", "cam"));
  const std::string online = next_publish(*service);
  EXPECT_TRUE(online.starts_with("v1/north/cam/presence ")) << online;
  EXPECT_NE(online.find("ONLINE"), std::string::npos) << online;
  EXPECT_EQ(login(port, as("cam@acme", "wrong", "other")), 0x86);
  const std::string one = "tenants/acme/devices/cam/presence";
  const std::string past = "history?tenant=acme&device=cam";
  EXPECT_TRUE(eventually([&] { return has(get(past), "\"refused\""); })) << get(past).body;
  if (std::string(GetParam()) != "single") gateway_.signal_engine(SIGKILL);
  cam->send(publish("v1/event/x", "1", 1, 1));
  EXPECT_FALSE(cam->until(4).empty()) << "the next engine serves";
  EXPECT_TRUE(has(get(one), "\"state\":\"online\"")) << get(one).body;
  EXPECT_TRUE(has(get(one), "127.0.0.1:")) << get(one).body;
  EXPECT_EQ(times(get(past), "\"connected\""), 1u) << get(past).body;
  EXPECT_EQ(times(get(past), "\"refused\""), 1u) << get(past).body;
  EXPECT_TRUE(has(get("presence?tenant=acme&online=true"), "\"cam\""));
  EXPECT_FALSE(has(get("presence?tenant=acme&online=false"), "\"cam\""));
  cam->send(disconnect());
  const std::string offline = next_publish(*service);
  EXPECT_NE(offline.find("OFFLINE"), std::string::npos) << offline << ": nothing before that";
  EXPECT_NE(offline.find("goodbye"), std::string::npos) << offline;
  EXPECT_TRUE(eventually([&] { return has(get(one), "\"cause\":\"goodbye\""); }));
  EXPECT_TRUE(eventually([&] { return times(get(past), "\"ended\"") == 1; })) << get(past).body;
  EXPECT_TRUE(has(get("history?tenant=acme&site=north&types=ended"), "\"goodbye\""));
}

TEST_P(PresenceShapes, WhatIsAskedWrongIsRefused) {
  EXPECT_EQ(get("presence").status, 422);
  EXPECT_EQ(get("presence?tenant=nobody").status, 404);
  EXPECT_EQ(get("presence?tenant=acme&since=yesterday").status, 422);
  EXPECT_EQ(get("presence?tenant=acme&limit=501").status, 422);
  EXPECT_EQ(get("tenants/acme/devices/nobody/presence").status, 404);
  EXPECT_EQ(get("history?tenant=acme").status, 422);
  EXPECT_EQ(get("history?tenant=acme&device=cam&types=all").status, 422);
  EXPECT_EQ(get("history?tenant=acme&device=cam&cursor=x").status, 422);
  const RestAnswer all = get("presence?tenant=acme");
  EXPECT_EQ(all.status, 200);
  EXPECT_NE(all.body.find("\"never\""), std::string::npos) << all.body;
  const RestAnswer first = get("presence?tenant=acme&limit=1");
  EXPECT_NE(first.body.find("\"next\":\"cam\""), std::string::npos) << first.body;
}

INSTANTIATE_TEST_SUITE_P(Every, PresenceShapes, ::testing::Values("single", "supervised"),
                         [](const auto& i) { return std::string(i.param); });

}  // namespace
}  // namespace berth::test
