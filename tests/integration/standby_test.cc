// The API of the platform at an engine that serves nothing: it asks the engine that serves.
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "tests/support/cluster.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

struct OneOfTwo : ::testing::Test {
  RestAnswer get(GatewayProcess& at, const std::string& target) const {
    return Rest(at.admin_port()).get("/api/v1/" + target);
  }
  RestAnswer submit(GatewayProcess& at, const std::string& id, const std::string& query) const {
    return Rest(at.admin_port())
        .ask("POST", "/api/v1/commands" + query,
             R"({"tenant":"acme","device":"cam","id":")" + id + R"(","type":"white_list"})",
             "Content-Type: application/json\r\n");
  }
  GatewayProcess& other_than(const GatewayProcess* e) {
    return c.engines[0].get() == e ? *c.engines[1] : *c.engines[0];
  }
  Directory d;
  Cluster c{{.engines = 2,
             .edges = 1,
             .engine_flags = {"--config", d.file("berth.yaml",
                                                 "registry: {source: file, file: " +
                                                     d.file("registry.yaml", kTwoTenants) + "}\n")},
             .edge_flags = {},
             .anonymous = false}};
};

bool has(const RestAnswer& a, const std::string& text) {
  return a.body.find(text) != std::string::npos;
}

TEST_F(OneOfTwo, TheStandbyAnswersWhatTheOneThatServesKnows) {
  GatewayProcess* const serves = c.active();
  ASSERT_NE(serves, nullptr);
  GatewayProcess& standby = other_than(serves);
  const auto cam = subscribed(c.edges[0]->mqtt_port(), as("cam@acme", "secret"), "v1/cmd/#", 1);
  const std::string presence = "tenants/acme/devices/cam/presence";
  EXPECT_TRUE(eventually([&] { return has(get(standby, presence), "online"); }))
      << get(standby, presence).body;
  const RestAnswer accepted = submit(standby, "1", "");
  EXPECT_EQ(accepted.status, 202) << accepted.body;
  EXPECT_FALSE(cam->until(3).empty());
  cam->send(publish("v1/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 1));
  const RestAnswer done = get(standby, "commands/1?tenant=acme&wait=8000");
  EXPECT_TRUE(done.status == 200 && has(done, "SUCCEEDED")) << done.body;
  for (const char* what : {"commands?tenant=acme&device=cam", "history?tenant=acme&device=cam",
                           "insights/flapping?tenant=acme"}) {
    const RestAnswer a = get(standby, what);
    EXPECT_EQ(a.status, 200) << what << " " << a.body;
    EXPECT_EQ(a.body, get(*serves, what).body) << what;
  }
}

TEST_F(OneOfTwo, TheOneThatIsStartedAgainAnswersToo) {
  GatewayProcess* const dies = c.active();
  ASSERT_NE(dies, nullptr);
  const auto cam = subscribed(c.edges[0]->mqtt_port(), as("cam@acme", "secret"), "v1/cmd/#", 1);
  EXPECT_EQ(submit(*dies, "1", "").status, 202);
  dies->kill9();
  dies->start();
  EXPECT_TRUE(eventually([&] { return get(*dies, "commands/1?tenant=acme").status == 200; }))
      << get(*dies, "commands/1?tenant=acme").body;
  EXPECT_EQ(c.active(), &other_than(dies)) << "so it was asked";
}

}  // namespace
}  // namespace berth::test
