// Who may come in by the registry, what he sees and may use, in running gateways of every shape,
// and what happens when that changes.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <ctime>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

// Of devices and services: what the gateway says of devices' presence comes beside it.
std::string next_publish(RawClient& c) {
  while (true) {
    const auto packets = c.until(3);
    if (packets.empty() || packets.back().type != 3) return "nothing";
    const Packet& p = packets.back();
    if (p.qos() == 1) c.send(ack(4, p.id()));
    if (!p.topic().ends_with("/presence")) return p.topic() + " " + p.payload(5);
  }
}

// A gateway, whatever its shape: where devices come in, where operators ask, how its engine dies.
struct Shape {
  virtual ~Shape() = default;
  virtual int mqtt() const = 0;
  virtual int admin() const = 0;
  virtual void kill_engine() = 0;
};
struct Single : Shape {
  explicit Single(std::vector<std::string> flags) : g(std::move(flags)) {}
  int mqtt() const override { return g.mqtt_port(); }
  int admin() const override { return g.admin_port(); }
  void kill_engine() override { g.signal_engine(SIGKILL); }
  GatewayProcess g;
};
struct Clustered : Shape {
  explicit Clustered(const std::string& config)
      : c({.engines = 2,
           .edges = 1,
           .engine_flags = {"--config", config},
           .edge_flags = {},
           .partitions = 2}) {}
  int mqtt() const override { return c.edges[0]->mqtt_port(); }
  int admin() const override { return c.engines[1]->admin_port(); }
  void kill_engine() override { c.engines[0]->process().send(SIGKILL); }
  Cluster c;
};

class RegistryShapes : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string config = registry_in_store(directory_);
    const std::string name = GetParam();
    if (name == "single") {
      shape_ = std::make_unique<Single>(
          std::vector<std::string>{"--config", config, "--single-process"});
    } else if (name == "supervised") {
      shape_ =
          std::make_unique<Single>(std::vector<std::string>{"--config", config, "--shards", "2"});
    } else {
      shape_ = std::make_unique<Clustered>(config);
    }
    const Rest rest(shape_->admin());
    ASSERT_TRUE(eventually([&] { return rest.get("/api/v1/tenants").status == 200; }));
    const RestAnswer a = rest.import(kTwoTenants);
    ASSERT_EQ(a.status, 200) << a.body;
    for (const char* tenant : {"acme", "other"}) {
      ASSERT_TRUE(eventually(
          [&] { return login(shape_->mqtt(), as(std::string("cam@") + tenant, "secret")) == 0; }));
    }
  }
  Directory directory_;
  std::unique_ptr<Shape> shape_;
};

TEST_P(RegistryShapes, I8_TenantsAreApartAlsoAfterTheEngineHasDied) {
  const int port = shape_->mqtt();
  auto ours = subscribed(port, as("platform@acme", "p"), "#", 1);
  auto theirs = subscribed(port, as("platform@other", "p"), "#", 1);
  auto cam = subscribed(port, as("cam@acme", "secret"), "v1/cmd/#", 1);
  auto their_cam = connected(port, as("cam@other", "secret"));
  const auto speak = [&](const std::string& text) {
    cam->send(publish("v1/event/plate", text + " a", 1, 1));
    their_cam->send(publish("v1/event/plate", text + " b", 1, 1));
    EXPECT_EQ(next_publish(*ours), "v1/north/cam/event/plate " + text + " a");
    EXPECT_EQ(next_publish(*theirs), "v1/north/cam/event/plate " + text + " b");
    theirs->send(publish("v1/north/cam/cmd/1/req/open", text + " b", 1, 1));
    ours->send(publish("v1/north/cam/cmd/1/req/open", text + " a", 1, 1));
    EXPECT_EQ(next_publish(*cam), "v1/cmd/1/req/open " + text + " a");
    EXPECT_EQ(next_publish(*ours), "v1/north/cam/cmd/1/req/open " + text + " a");
    EXPECT_EQ(next_publish(*theirs), "v1/north/cam/cmd/1/req/open " + text + " b");
  };
  speak("1");
  if (std::string(GetParam()) == "single") return;
  shape_->kill_engine();
  speak("2");
  for (RawClient* c : {ours.get(), theirs.get(), cam.get(), their_cam.get()}) {
    c->send(pingreq());
    EXPECT_FALSE(c->until(13).empty());
  }
}

// What the engine that dies knew the next one may not have read yet: it asks before it judges.
TEST_P(RegistryShapes, I2_WhoIsNewStaysWhenTheEngineDies) {
  if (std::string(GetParam()) == "single") return;
  const int port = shape_->mqtt();
  const Rest rest(shape_->admin());
  const int kills = std::string(GetParam()) == "clustered" ? 1 : 5;
  for (int i = 0; i < kills; ++i) {
    const std::string name = "new-" + std::to_string(i);
    ASSERT_EQ(
        rest.put("/api/v1/tenants/acme/devices/" + name,
                 R"({"site":"north","credentials":[{"auth_id":")" + name + R"(","password":"p"}]})")
            .status,
        201);
    ASSERT_TRUE(eventually([&] { return login(port, as(name + "@acme", "p")) == 0; }));
    const auto device = connected(port, as(name + "@acme", "p"));
    shape_->kill_engine();
    for (unsigned id = 1; id < 4; ++id) {
      device->send(publish("v1/event/x", "still here", 1, id));
      ASSERT_FALSE(device->until(4).empty());
    }
    EXPECT_FALSE(device->closed_within(std::chrono::milliseconds(500)));
  }
}

TEST_P(RegistryShapes, WhatIsDisabledIsGoneInFiveSeconds) {
  const int port = shape_->mqtt();
  const Rest rest(shape_->admin());
  const auto expect_ended = [&](RawClient& c, const char* what) {
    const auto packets = c.until(14, std::chrono::seconds(5));
    ASSERT_FALSE(packets.empty()) << what;
    EXPECT_EQ(packets.back().type, 14u) << what;
    EXPECT_EQ(static_cast<unsigned char>(packets.back().body[0]), 0x98u) << what;
    EXPECT_TRUE(c.closed_within(std::chrono::seconds(5))) << what;
  };
  auto stays = connected(port, as("cam@other", "secret"));
  auto door = connected(port, as("door@acme", "secret"));
  auto cam = connected(port, as("cam@acme", "secret"));
  ASSERT_EQ(rest.put("/api/v1/tenants/acme/sites/south", R"({"enabled":false})").status, 200);
  expect_ended(*door, "site");
  EXPECT_EQ(login(port, as("door@acme", "secret")), 0x8a);
  EXPECT_EQ(login(port, as("door@acme", "wrong")), 0x86)
      << "who can't prove it hears nothing of it";
  cam->send(pingreq());
  EXPECT_FALSE(cam->until(13).empty());
  ASSERT_EQ(rest.put("/api/v1/tenants/acme", R"({"enabled":false})").status, 200);
  expect_ended(*cam, "tenant");
  ASSERT_EQ(rest.put("/api/v1/tenants/acme", R"({"enabled":true})").status, 200);
  ASSERT_TRUE(eventually([&] { return login(port, as("cam@acme", "secret")) == 0; }));
  ASSERT_EQ(rest.put("/api/v1/tenants/acme/devices/cam",
                     R"({"site":"north","enabled":false,"credentials":[{"auth_id":"cam"}]})")
                .status,
            200);
  ASSERT_TRUE(eventually([&] { return login(port, as("cam@acme", "secret")) == 0x8a; },
                         std::chrono::seconds(5)));
  stays->send(pingreq());
  EXPECT_FALSE(stays->until(13).empty());
}

TEST_P(RegistryShapes, APasswordIsChangedWhileTheDeviceStays) {
  const int port = shape_->mqtt();
  const Rest rest(shape_->admin());
  auto cam = connected(port, as("cam@acme", "secret", "one"));
  ASSERT_EQ(rest.put("/api/v1/tenants/acme/devices/cam",
                     R"({"site":"north","credentials":[{"auth_id":"cam","password":"new"}]})")
                .status,
            200);
  ASSERT_TRUE(eventually([&] { return login(port, as("cam@acme", "new", "two")) == 0; }));
  EXPECT_EQ(login(port, as("cam@acme", "secret", "three")), 0x86);
  cam->send(pingreq());
  EXPECT_FALSE(cam->until(13).empty());
}

// A tenant's limit is one of all engines together; usage is what all of them say.
TEST_P(RegistryShapes, WhatATenantMayUseAndUses) {
  const int port = shape_->mqtt();
  const Rest rest(shape_->admin());
  const auto usage = [&](const std::string& field) {
    const RestAnswer a = rest.get("/api/v1/usage/acme");
    const std::size_t at = a.body.find("\"" + field + "\":");
    return at == std::string::npos ? -1 : std::atoi(a.body.c_str() + at + field.size() + 3);
  };
  ASSERT_EQ(rest.put("/api/v1/tenants/acme", R"({"limits":{"connections":4}})").status, 200);
  std::vector<std::unique_ptr<RawClient>> all;
  for (int i = 0; i < 4; ++i)
    all.push_back(connected(port, as("cam@acme", "secret", "id-" + std::to_string(i))));
  ASSERT_TRUE(eventually([&] { return usage("connections") == 4; }))
      << rest.get("/api/v1/usage/acme").body;
  // In a cluster the other partitions hear of it within a second or two.
  ASSERT_TRUE(eventually([&] { return login(port, as("door@acme", "secret", "a")) == 0x97; }));
  ASSERT_TRUE(eventually([&] { return login(port, as("door@acme", "secret", "b")) == 0x97; }));
  EXPECT_EQ(login(port, as("cam@other", "secret")), 0);
  for (auto& c : all) {
    c->send(publish("v1/event/x", "1", 1, 1));
    EXPECT_FALSE(c->until(4).empty());
  }
  EXPECT_TRUE(eventually([&] { return usage("messages") == 4; }))
      << rest.get("/api/v1/usage/acme").body;
  EXPECT_NE(rest.get("/api/v1/usage/acme").body.find("\"sites\":{\"north\":"), std::string::npos);
  const RestAnswer ranking = rest.get("/api/v1/usage?by=messages&limit=1");
  EXPECT_NE(ranking.body.find("\"tenant\":\"acme\""), std::string::npos) << ranking.body;
  EXPECT_EQ(ranking.body.find("\"tenant\":\"other\""), std::string::npos);
  EXPECT_EQ(rest.get("/api/v1/usage?by=colour").status, 422);
  EXPECT_EQ(rest.get("/api/v1/usage/nobody").status, 404);
  ASSERT_EQ(rest.put("/api/v1/tenants/idle", "{}").status, 201);
  const RestAnswer idle = rest.get("/api/v1/usage/idle");
  EXPECT_NE(idle.body.find("\"connections\":0,"), std::string::npos) << idle.body;
  EXPECT_NE(idle.body.find("\"sites\":{}"), std::string::npos) << idle.body;
  EXPECT_GE(usage("refused"), 2);
  all.clear();
  ASSERT_TRUE(eventually([&] { return login(port, as("door@acme", "secret")) == 0; }));
  if (std::string(GetParam()) == "single") {
    const RestAnswer metrics = rest.get("/metrics");
    EXPECT_NE(metrics.body.find("berth_tenant_messages_total{tenant=\"acme\"} 4"),
              std::string::npos);
    EXPECT_NE(metrics.body.find("berth_site_messages_total{site=\"acme/north\"} 4"),
              std::string::npos);
  }
}

// Whoever has a name next begins with nothing, also in the same second.
TEST_P(RegistryShapes, WhatWasRetainedGoesWithItsTenant) {
  const int port = shape_->mqtt();
  const Rest rest(shape_->admin());
  {
    auto cam = connected(port, as("cam@acme", "secret"));
    cam->send(publish("v1/state", "old", 1, 1, 5, true));
    EXPECT_FALSE(cam->until(4).empty());
    auto theirs = connected(port, as("cam@other", "secret"));
    theirs->send(publish("v1/state", "theirs", 1, 1, 5, true));
    EXPECT_FALSE(theirs->until(4).empty());
  }
  ASSERT_EQ(rest.remove("/api/v1/tenants/acme?recursive=true").status, 204);
  ASSERT_EQ(rest.import(kTwoTenants).status, 200);
  // Retained messages come before what is published behind the SUBSCRIBE.
  const auto first = [&](const std::string& tenant) -> std::string {
    RawClient c(port);
    c.send(connect(as("platform@" + tenant, "p", "looks")));
    const auto connack = c.until(2);
    if (connack.empty() || connack.back().type != 2 || connack.back().body[1] != 0) return "away";
    c.send(subscribe(1, "#", 1));
    if (c.until(9).empty()) return "away";
    c.send(publish("v1/marker", "m", 1, 1));
    const std::string said = next_publish(c);
    const bool presence = said.starts_with("v1/north/cam/presence ") && tenant == "other";
    return presence ? next_publish(c) : said;
  };
  std::string last;
  EXPECT_TRUE(eventually([&] { return (last = first("acme")) == "v1/marker m"; })) << last;
  EXPECT_TRUE(eventually([&] { return (last = first("other")) == "v1/north/cam/state theirs"; }))
      << last;
}

INSTANTIATE_TEST_SUITE_P(All, RegistryShapes, ::testing::Values("single", "supervised", "cluster"),
                         [](const auto& each) { return std::string(each.param); });

TEST(RegistryRest, ATokenIsAsked) {
  const Directory d;
  const std::string token = d.file("token", "let-me-in\n");
  const std::string config = registry_in_store(d, "admin: {token_file: " + token + "}\n");
  GatewayProcess g({"--config", config});
  EXPECT_EQ(Rest(g.admin_port(), "").get("/api/v1/tenants").status, 401);
  const auto wrong = Rest(g.admin_port(), "let-me-i").get("/api/v1/tenants");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_NE(wrong.body.find("wrong token"), std::string::npos) << wrong.body;
  EXPECT_EQ(Rest(g.admin_port(), "let-me-in").get("/api/v1/tenants").status, 200);
  d.file("token", "another-one\n");  // a Secret that is mounted anew
  EXPECT_TRUE(eventually([&] {
    return Rest(g.admin_port(), "another-one").get("/api/v1/tenants").status == 200;
  })) << "in force with the set of files that it is in";
  EXPECT_EQ(Rest(g.admin_port(), "let-me-in").get("/api/v1/tenants").status, 401);
}

TEST(RegistryRest, AnEdgeAsksForATokenToo) {
  const Directory d;
  const std::string token = d.file("token", "let-me-in\n");
  const std::string config = d.file("berth.yaml", "admin: {token_file: " + token + "}\n");
  Cluster c({.engines = 1, .edges = 1, .engine_flags = {}, .edge_flags = {"--config", config}});
  const int port = c.edges[0]->admin_port();
  EXPECT_EQ(Rest(port, "").ask("POST", "/api/v1/drain").status, 401);
  EXPECT_EQ(Rest(port, "let-me-in").get("/api/v1/status").status, 200);
}

// The store is away: who is known comes in all the same.
TEST(RegistryAway, KnownDevicesStillComeIn) {
  const Directory d;
  Clustered shape(registry_in_store(d, "store: {redis_timeout_ms: 500}\n"));
  const Rest rest(shape.admin());
  ASSERT_TRUE(eventually([&] { return rest.get("/api/v1/tenants").status == 200; }));
  ASSERT_EQ(rest.import(kTwoTenants).status, 200);
  ASSERT_TRUE(eventually([&] { return login(shape.mqtt(), as("cam@acme", "secret")) == 0; }));
  shape.c.redis.stop();
  EXPECT_EQ(login(shape.mqtt(), as("cam@acme", "secret")), 0);
  EXPECT_EQ(login(shape.mqtt(), as("cam@acme", "wrong")), 0x86);
  EXPECT_EQ(rest.put("/api/v1/tenants/acme", R"({"labels":{"a":"b"}})").status, 503);
  shape.c.redis.go_on();
  EXPECT_TRUE(eventually(
      [&] { return rest.put("/api/v1/tenants/acme", R"({"labels":{"a":"b"}})").status == 200; }));
}

// A GET, signed with a key of platform@acme (docs/api.md, "Signed requests").
std::string signature_line(const std::string& target, const std::string& nonce) {
  const std::string empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const std::string now = std::to_string(std::time(nullptr));
  const std::string key = "0123456789abcdef";
  const std::string text = "signer@acme\n" + now + "\n" + nonce + "\nGET\n" + target + "\n" + empty;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", digest[i]);
    hex += two;
  }
  return "Authorization: HMAC-SHA256 client_id=\"signer@acme\", timestamp=\"" + now +
         "\", nonce=\"" + nonce + "\", body=\"" + empty + "\", signature=\"" + hex + "\"\r\n";
}

// Edges ask the engine that serves, which remembers the nonces of all of them; engines know the
// registry themselves.
TEST(RegistryAccounts, AreKnownAtEachProcessOfACluster) {
  const Directory d;
  Cluster c({.engines = 2,
             .edges = 2,
             .engine_flags = {"--config", registry_in_store(d)},
             .edge_flags = {}});
  GatewayProcess* const serving = c.active();
  ASSERT_NE(serving, nullptr);
  const Rest admin(serving->admin_port());
  for (const std::string t : {"acme", "other"})
    ASSERT_EQ(admin.put("/api/v1/tenants/" + t, "{}").status, 201);
  ASSERT_EQ(admin
                .put("/api/v1/tenants/acme/accounts/platform",
                     R"({"role":"service","api":["read"],"credentials":[)"
                     R"({"auth_id":"platform","password":"p"},)"
                     R"({"auth_id":"signer","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}]})")
                .status,
            201);
  const auto is = [](int port, const std::string& key, const std::string& target, int wanted) {
    RestAnswer a;
    EXPECT_TRUE(eventually(
        [&] {
          a = Rest(port, key).get(target);
          return a.status == wanted;
        },
        std::chrono::seconds(60)))
        << target << " " << a.head << a.body;
  };
  const std::string key = "platform@acme:p";
  for (const auto& engine : c.engines) {
    const int port = engine->admin_port();
    is(port, key, "/api/v1/tenants/acme", 200);
    is(port, key, "/api/v1/tenants/other", 404);
    is(port, "platform@acme:x", "/api/v1/tenants/acme", 401);
    const std::string line = signature_line("/api/v1/tenants", "nonce-" + std::to_string(port));
    EXPECT_EQ(Rest(port, "").ask("GET", "/api/v1/tenants", "", line).status, 200);
    EXPECT_EQ(Rest(port, "").ask("GET", "/api/v1/tenants", "", line).status, 401) << "again";
  }
  const std::string line = signature_line("/api/v1/presence", "nonce-of-edges");
  int asked = 0;
  for (const auto& edge : c.edges) {
    const int port = edge->admin_port();
    is(port, key, "/api/v1/presence", 200);
    is(port, key, "/api/v1/presence?tenant=other", 404);
    is(port, "platform@acme:x", "/api/v1/presence", 401);
    is(port, key, "/api/v1/quarantine", 403);
    EXPECT_EQ(Rest(port, key)
                  .ask("POST", "/api/v1/commands", R"({"device":"x","type":"open"})",
                       "Content-Type: application/json\r\n")
                  .status,
              403);
    EXPECT_EQ(Rest(port, "").ask("GET", "/api/v1/presence", "", line).status,
              asked++ == 0 ? 200 : 401)
        << "a nonce is good once, whichever edge is asked";
  }
  serving->kill9();
  for (const auto& edge : c.edges) is(edge->admin_port(), key, "/api/v1/presence", 200);
  // What is withdrawn is so at the next request that the engine has heard of it.
  GatewayProcess* const next = c.active();
  ASSERT_NE(next, nullptr);
  const Rest again(next->admin_port());
  ASSERT_EQ(again
                .ask("PATCH", "/api/v1/tenants/acme/accounts/platform", R"({"api":[]})",
                     "Content-Type: application/json\r\n")
                .status,
            200);
  for (const auto& edge : c.edges) is(edge->admin_port(), key, "/api/v1/presence", 403);
}

}  // namespace
}  // namespace berth::test
