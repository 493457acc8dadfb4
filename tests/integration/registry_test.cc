// The registry in running gateways of every shape: who may come in, what he sees, what happens when
// that changes, and the REST API by which it does.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

constexpr const char* kTwoTenants = R"(
tenants:
  - name: acme
    sites: [{name: north}, {name: south}]
    products: [{name: vendor, topics: ["device/%d/#"]}]
    devices:
      - {name: cam, site: north, product: vendor, credentials: [{auth_id: cam, password: secret}]}
      - {name: door, site: south, credentials: [{auth_id: door, password: secret}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
  - name: other
    sites: [{name: north}]
    devices:
      - {name: cam, site: north, credentials: [{auth_id: cam, password: secret}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
)";

struct Directory {
  Directory() : path(std::filesystem::temp_directory_path() / "berth-registry-XXXXXX") {
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

std::string registry_in_store(const Directory& d, const std::string& more = {}) {
  return d.file("berth.yaml",
                "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                "session: {per_device: 10}\n"  // a device logs in with many client ids here
                "registry: {source: store, refresh_ms: 200, password_iterations: 3}\n" +
                    more);
}

ConnectOptions as(const std::string& user, const std::string& password,
                  const std::string& client_id = "same") {
  ConnectOptions o{.client_id = client_id};
  o.user = user;
  o.password = password;
  return o;
}

// The reason code of the CONNACK; -1: none came. The connection is closed again.
int login(int port, const ConnectOptions& o) {
  RawClient c(port);
  c.send(connect(o));
  const auto packets = c.until(2);
  return packets.empty() || packets.back().type != 2
             ? -1
             : static_cast<unsigned char>(packets.back().body[1]);
}

std::string next_publish(RawClient& c) {
  const auto packets = c.until(3);
  if (packets.empty() || packets.back().type != 3) return "nothing";
  const Packet& p = packets.back();
  if (p.qos() == 1) c.send(ack(4, p.id()));
  return p.topic() + " " + p.payload(5);
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
    return next_publish(c);
  };
  std::string last;
  EXPECT_TRUE(eventually([&] { return (last = first("acme")) == "v1/marker m"; })) << last;
  EXPECT_TRUE(eventually([&] { return (last = first("other")) == "v1/north/cam/state theirs"; }))
      << last;
}

INSTANTIATE_TEST_SUITE_P(All, RegistryShapes, ::testing::Values("single", "supervised", "cluster"),
                         [](const auto& each) { return std::string(each.param); });

TEST(RegistryRest, SpeaksHttpAsOneExpects) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  const std::string t = "/api/v1/tenants/acme";
  EXPECT_EQ(rest.put(t + "/sites/north", "{}").status, 422) << "no tenant";
  EXPECT_EQ(rest.put(t, "{}").status, 201);
  EXPECT_EQ(rest.put(t, "{}").status, 200);
  EXPECT_EQ(rest.put(t, "{").status, 422);
  EXPECT_EQ(rest.put(t, R"({"colour":"red"})").status, 422);
  EXPECT_EQ(rest.put(t, R"({"name":"other"})").status, 422);
  EXPECT_EQ(rest.put("/api/v1/tenants/a%20b", "{}").status, 422);
  EXPECT_EQ(rest.put(t + "/sites/north", R"({"time_zone":"Asia/Shanghai"})").status, 201);
  const std::string cam = t + "/devices/cam";
  const std::string body = R"({"site":"north","credentials":[{"auth_id":"cam","password":"s"}]})";
  EXPECT_EQ(rest.put(cam, body, "If-Match: *\r\n").status, 412);
  const RestAnswer made = rest.put(cam, body, "If-None-Match: *\r\n");
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_NE(rest.put(cam, body, "If-None-Match: *\r\n").body.find("it exists already"),
            std::string::npos);
  EXPECT_EQ(rest.put(cam, body, "If-None-Match: *\r\n").status, 412);
  const RestAnswer got = rest.get(cam);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body.find("$7$"), std::string::npos);
  const std::size_t at = got.head.find("ETag: ");
  ASSERT_NE(at, std::string::npos);
  const std::string tag = got.head.substr(at + 6, got.head.find('\r', at) - at - 6);
  EXPECT_EQ(rest.put(cam, got.body, "If-Match: " + tag + "\r\n").status, 200) << "as it went out";
  EXPECT_EQ(rest.get(cam).head.find(tag) != std::string::npos, true) << "and unchanged";
  EXPECT_EQ(rest.put(cam, R"({"site":"north"})", "If-Match: " + tag + "\r\n").status, 200);
  EXPECT_NE(rest.get(cam).body.find("\"auth_id\":\"cam\""), std::string::npos)
      << "credentials that are not named stay";
  EXPECT_EQ(rest.patch(cam, R"({"labels":{"a":"b"}})").status, 200);
  EXPECT_EQ(rest.patch(cam, R"({"credentials":[]})").status, 200);
  EXPECT_EQ(rest.get(cam).body, R"({"name":"cam","site":"north","labels":{"a":"b"}})"
                                "\n");
  EXPECT_EQ(
      rest.put(cam + "?dry_run=true", body).body,
      R"({"records":1,"changed":1,"created":0,"changes":[{"record":"devices/acme/cam","action":"update",)"
      R"("fields":{"labels":{"from":{"a":"b"},"to":null},"credentials":{"from":null,"to":)"
      R"([{"auth_id":"cam","type":"password"}]}}}]})"
      "\n");
  EXPECT_EQ(rest.put(cam + "?dryrun=true", body).status, 422);
  EXPECT_EQ(rest.patch(t + "/devices/nobody", "{}").status, 404);
  EXPECT_EQ(rest.patch(cam, R"({"site":"nowhere"})").status, 422);
  for (const char* type : {"text/plain;x=application/json", "application/json;x=y",
                           "application/x-www-form-urlencoded"})
    EXPECT_EQ(rest.ask("PUT", cam, body, "Content-Type: " + std::string(type) + "\r\n").status,
              415);
  EXPECT_EQ(rest.put(cam, body, "If-Match: " + tag + "\r\n").status, 412);
  EXPECT_EQ(rest.put(cam, body).status, 200);
  EXPECT_EQ(rest.put(t + "/devices/thief", body).status, 409) << "the same auth_id";
  EXPECT_EQ(rest.get(t + "/devices/thief").status, 404);
  EXPECT_EQ(rest.remove(t + "/sites/north").status, 409);
  EXPECT_EQ(rest.remove(t).status, 409);
  EXPECT_EQ(rest.get(t + "/doors").status, 404);
  EXPECT_EQ(rest.get("/api/v1/tenants/acme/devices/cam/x").status, 404);
  EXPECT_EQ(rest.get("/api/v1/tenants/").status, 200);
  EXPECT_EQ(rest.ask("PATCH", cam).status, 415);
  EXPECT_EQ(rest.ask("POST", t + "/devices", "{}").status, 405);
  EXPECT_EQ(rest.put(cam, std::string(70'000, ' ')).status, 413);
  EXPECT_EQ(rest.remove(cam).status, 204);
  EXPECT_EQ(rest.remove(cam).status, 404);
  EXPECT_EQ(rest.remove(t + "?recursive=true").status, 204);
  EXPECT_EQ(rest.get(t).status, 404);
  EXPECT_EQ(rest.get(t + "/devices").status, 404);
}

TEST(RegistryRest, ErrorsAreJson) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  const auto expect_json = [](const RestAnswer& a, int status, const std::string& body) {
    EXPECT_EQ(a.status, status) << a.body;
    EXPECT_EQ(a.body.find(body), 0u) << a.body;
    EXPECT_NE(a.head.find("Content-Type: application/json"), std::string::npos) << a.head;
  };
  const std::string missing = R"({"error":{"code":"not_found","message":)";
  expect_json(rest.get("/api/v1/nothing"), 404, missing + R"("no such page"}})");
  expect_json(rest.get("/api/v1/"), 404, missing);
  expect_json(rest.get("/api/v2/tenants"), 404, missing);
  expect_json(rest.remove("/api/v1/quarantine/none"), 404, missing);
  expect_json(rest.remove("/api/v1/status"), 405, R"({"error":{"code":"method_not_allowed")");
  expect_json(Rest(g.admin_port(), "").get("/api/v1/tenants"), 401,
              R"({"error":{"code":"unauthorized","message":"needs \"Authorization: Bearer)");
  EXPECT_EQ(rest.get("/nothing").body, "no such page\n");
  const std::string t = "/api/v1/tenants/acme";
  ASSERT_EQ(rest.put(t, "{}").status, 201);
  const std::string why =
      R"({"error":{"code":"invalid","message":"enabled: true or false is needed, )"
      R"(without quotes, not \"no\""}})";
  expect_json(rest.patch(t, R"({"enabled":"no"})"), 422, why);
  expect_json(rest.put(t, R"({"enabled":"no"})"), 422, why);
  expect_json(rest.import("tenants: [{name: acme, enabled: \"no\"}]"), 422,
              R"({"error":{"code":"invalid","message":"line 1: enabled: true or false is needed)");
  EXPECT_EQ(rest.get(t).body, "{\"name\":\"acme\"}\n");
}

TEST(RegistryRest, AParameterHasAValueThatItCanHave) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  const std::string t = "/api/v1/tenants/acme";
  ASSERT_EQ(rest.put(t, "{}").status, 201);
  for (const char* bad : {"dry_run=maybe", "dry_run=", "dry_run", "dry_run=TRUE",
                          "dry_run=true&dry_run=false", "replace=true"})
    EXPECT_EQ(rest.put(t + "/sites/x?" + bad, "{}").status, 422) << bad;
  for (const char* dry : {"dry_run=true", "dry_run=1", "dry_run=yes"})
    EXPECT_EQ(rest.put(t + "/sites/x?" + dry, "{}").status, 200) << dry;
  EXPECT_EQ(rest.get(t + "/sites/x").status, 404);
  const std::string yaml = "tenants: [{name: acme, sites: [{name: x}]}]";
  EXPECT_EQ(rest.import(yaml, "application/yaml", "?dry_run=perhaps").status, 422);
  EXPECT_EQ(rest.import(yaml, "application/yaml", "?replace=perhaps").status, 422);
  EXPECT_EQ(rest.import(yaml, "application/yaml", "?dry_run=1").status, 200);
  EXPECT_EQ(rest.get(t + "/sites/x").status, 404);
  EXPECT_EQ(rest.put(t + "/sites/x?dry_run=0", "{}").status, 201);
  for (const char* bad : {"limit=abc", "limit=0", "limit=-1", "limit=1001", "limit=", "limit=1x",
                          "enabled=maybe", "colour=red"})
    EXPECT_EQ(rest.get(t + "/devices?" + bad).status, 422) << bad;
  EXPECT_EQ(rest.get(t + "/devices?limit=1000&enabled=no").status, 200);
  EXPECT_EQ(rest.get(t + "/sites?enabled=true").status, 422) << "of devices only";
  EXPECT_EQ(rest.get(t + "?limit=5").status, 422) << "of lists only";
  EXPECT_EQ(rest.get("/api/v1/registry/export?secrets=maybe").status, 422);
  EXPECT_EQ(rest.get("/api/v1/usage?limit=5000").status, 422);
  EXPECT_EQ(rest.remove(t + "?recursive=maybe").status, 422);
  const RestAnswer shown = rest.remove(t + "?recursive=1&dry_run=1");
  EXPECT_EQ(shown.status, 200);
  EXPECT_NE(shown.body.find("\"records\":2"), std::string::npos) << shown.body;
  EXPECT_EQ(rest.get(t).status, 200);
}

TEST(RegistryRest, WhoeverComesSecondIsNotRefused) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  ASSERT_EQ(rest.import(kTwoTenants).status, 200);
  const std::string cam = "/api/v1/tenants/acme/devices/cam";
  constexpr int kThreads = 8;
  std::vector<int> status(kThreads);
  std::vector<std::thread> all;
  for (int i = 0; i < kThreads; ++i) {
    all.emplace_back([&, i] {
      status[static_cast<std::size_t>(i)] =
          rest.patch(cam, "{\"labels\":{\"k" + std::to_string(i) + "\":\"v\"}}").status;
    });
  }
  for (std::thread& each : all) each.join();
  EXPECT_EQ(status, std::vector<int>(kThreads, 200));
  const std::string body = rest.get(cam).body;
  for (int i = 0; i < kThreads; ++i)
    EXPECT_NE(body.find("\"k" + std::to_string(i) + "\""), std::string::npos) << body;
}

TEST(RegistryRest, ABackupIsRestored) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  ASSERT_EQ(rest.import(kTwoTenants).status, 200);
  const std::string backup = rest.get("/api/v1/registry/export?secrets=true").body;
  const std::string t = "/api/v1/tenants/acme";
  EXPECT_EQ(rest.patch(t, R"({"enabled":false,"limits":{"connections":1}})").status, 200);
  EXPECT_EQ(rest.patch(t + "/devices/cam", R"({"enabled":false,"labels":{"a":"b"}})").status, 200);
  EXPECT_EQ(rest.patch(t + "/accounts/platform", R"({"sites":["north"]})").status, 200);
  EXPECT_EQ(rest.patch(t + "/accounts/platform", R"({"sites":["zz"]})").status, 422);
  EXPECT_EQ(rest.remove(t + "/sites/north?recursive=true").status, 409) << "an account names it";
  EXPECT_EQ(rest.import(backup, "application/yaml", "?replace=true").body,
            "{\"records\":11,\"changed\":3,\"created\":0}\n");
  EXPECT_EQ(rest.get("/api/v1/registry/export?secrets=true").body, backup);
}

// More than the store remembers one by one.
TEST(RegistryRest, WhatIsRemovedByNameIsGoneHoweverMuch) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  std::string csv = "tenant,site,device\n";
  for (int i = 0; i < 12'000; ++i) csv += "acme,north,d" + std::to_string(i) + "\n";
  ASSERT_EQ(rest.import("tenants: [{name: acme, sites: [{name: north}]}]").status, 200);
  ASSERT_EQ(rest.import(csv, "text/csv").status, 200);
  EXPECT_EQ(rest.remove("/api/v1/tenants/acme?recursive=true").status, 204);
  const RestAnswer left = rest.get("/api/v1/registry");
  EXPECT_NE(left.body.find("\"devices\":0"), std::string::npos) << left.body;
  EXPECT_EQ(left.body.find("missing_in_store"), std::string::npos) << left.body;
  EXPECT_EQ(rest.get("/readyz").status, 200);
}

TEST(RegistryRest, ImportsListsAndKeepsThemOverAKill) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  std::string csv = "tenant,site,device,auth_id,password\n";
  for (int i = 0; i < 2500; ++i) {
    const std::string n = std::to_string(10000 + i);
    csv += "acme," + std::string(i % 2 == 0 ? "north" : "south") + ",d" + n + ",d" + n + ",p\n";
  }
  EXPECT_EQ(rest.import(csv, "text/csv").status, 422) << "no tenant acme";
  ASSERT_EQ(rest.import("tenants: [{name: acme, sites: [{name: north}, {name: south}]}]").status,
            200);
  EXPECT_EQ(rest.import(csv, "text/csv", "?dry_run=true").status, 200);
  EXPECT_EQ(rest.get("/api/v1/tenants/acme/devices/d10000").status, 404);
  const RestAnswer a = rest.import(csv, "text/csv");
  EXPECT_EQ(a.body, "{\"records\":2500,\"changed\":2500,\"created\":2500}\n");
  for (const char* type : {"image/png", "text/plain;x=yaml", "application/x-yaml", "text/csvx"})
    EXPECT_EQ(rest.import("x", type).status, 415) << type;
  EXPECT_EQ(rest.import(csv + "acme,north,e,d10000,p\n", "text/csv").body,
            R"({"error":{"code":"conflict","message":"line 2502: 'acme/e' has the credential )"
            R"('d10000@acme' of 'acme/d10000'"}})"
            "\n");
  EXPECT_EQ(
      rest.import("tenant,site,device,auth_id,password\nacme,north,e,d10001,p\n", "text/csv").body,
      R"({"error":{"code":"conflict","message":"line 2: 'acme/e' has the credential )"
      R"('d10001@acme' of 'acme/d10001'"}})"
      "\n");
  g.kill9();
  g.start();
  const Rest again(g.admin_port());
  std::size_t seen = 0;
  std::string after;
  for (int page = 0; page < 10; ++page) {
    const RestAnswer list =
        again.get("/api/v1/tenants/acme/devices?site=south&limit=500&after=" + after);
    ASSERT_EQ(list.status, 200);
    for (std::size_t at = 0; (at = list.body.find("\"name\":", at)) != std::string::npos; ++at)
      ++seen;
    const std::size_t next = list.body.find("\"next\":\"");
    if (next == std::string::npos) break;
    after = list.body.substr(next + 8, list.body.find('"', next + 8) - next - 8);
  }
  EXPECT_EQ(seen, 1250u);
  EXPECT_TRUE(eventually([&] { return login(g.mqtt_port(), as("d12499@acme", "p")) == 0; }));
}

// The registry is read again every 4 s here: what is in force at once was read because it changed.
TEST(RegistryRest, AChangeIsInForceWhenTheAnswerArrives) {
  const Directory d;
  const std::string config =
      d.file("berth.yaml",
             "auth: {failures_per_name: 0, failures_per_address: 0}\n"
             "registry: {source: store, refresh_ms: 4000, password_iterations: 3}\n");
  const std::string device = "/api/v1/tenants/acme/devices/cam";
  const auto expect_at_once = [&](int admin, int port, const char* shape) {
    const Rest rest(admin);
    ASSERT_EQ(rest.import(kTwoTenants).status, 200);
    EXPECT_EQ(login(port, as("cam@acme", "secret")), 0) << shape;
    EXPECT_EQ(rest.patch(device, R"({"enabled":false})").status, 200);
    EXPECT_EQ(login(port, as("cam@acme", "secret")), 0x8a) << shape;
    EXPECT_EQ(rest.patch(device, R"({"enabled":true})").status, 200);
    EXPECT_EQ(login(port, as("cam@acme", "secret")), 0) << shape;
    EXPECT_EQ(rest.patch(device, R"({"credentials":[{"auth_id":"cam","password":"new"}]})").status,
              200);
    EXPECT_EQ(login(port, as("cam@acme", "new")), 0) << shape;
    EXPECT_EQ(login(port, as("cam@acme", "secret")), 0x86) << shape;
    EXPECT_EQ(rest.remove(device).status, 204);
    EXPECT_EQ(login(port, as("cam@acme", "new")), 0x86) << shape;
    EXPECT_EQ(login(port, as("door@acme", "secret")), 0) << shape;
  };
  for (const char* shape : {"--shards=2", "--single-process"}) {
    GatewayProcess g({"--config", config, shape});
    expect_at_once(g.admin_port(), g.mqtt_port(), shape);
  }
  Cluster c({.engines = 1, .edges = 1, .engine_flags = {"--config", config}, .edge_flags = {}});
  expect_at_once(c.engines[0]->admin_port(), c.edges[0]->mqtt_port(), "cluster");
}

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
  EXPECT_EQ(Rest(g.admin_port(), "another-one").get("/api/v1/tenants").status, 200);
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

TEST(RegistryFileOf, ASmallSite) {
  const Directory d;
  const std::string file = d.file("registry.yaml", kTwoTenants);
  const std::string config = d.file("berth.yaml", "registry: {source: file, file: " + file +
                                                      ", refresh_ms: 100, default_tenant: acme}\n"
                                                      "session: {per_device: 10}\n");
  GatewayProcess g({"--config", config});
  const Rest rest(g.admin_port());
  EXPECT_EQ(login(g.mqtt_port(), as("cam", "secret")), 0);
  EXPECT_EQ(login(g.mqtt_port(), as("cam@other", "secret")), 0);
  EXPECT_EQ(login(g.mqtt_port(), as("nobody", "secret")), 0x86);
  EXPECT_EQ(rest.get("/api/v1/tenants/acme/devices/cam").status, 200);
  EXPECT_EQ(rest.put("/api/v1/tenants/acme", "{}").status, 403);
  auto cam = connected(g.mqtt_port(), as("cam", "secret", "stays"));
  auto other = connected(g.mqtt_port(), as("cam@other", "secret"));
  d.file("registry.yaml", "tenants: [{name: '!'}]");
  ASSERT_TRUE(
      eventually([&] { return g.log().find("registry stays as it was") != std::string::npos; }));
  // Of a file with one key twice one half would be lost.
  d.file("registry.yaml", kTwoTenants + std::string("tenants: [{name: third}]\n"));
  const std::string why = file + ":17: key 'tenants' twice";
  ASSERT_TRUE(eventually([&] { return g.get("/readyz").find(why) != std::string::npos; }))
      << g.get("/readyz");
  EXPECT_EQ(g.metric("berth_registry_up"), 0);
  EXPECT_NE(g.log().find(why), std::string::npos) << g.log();
  g.signal_engine(SIGKILL);  // its successor has the last good one
  ASSERT_TRUE(eventually([&] { return g.metric("berth_engine_deaths_total") == 1; }));
  EXPECT_TRUE(eventually([&] { return login(g.mqtt_port(), as("cam", "secret", "2")) == 0; }));
  cam->send(pingreq());
  EXPECT_FALSE(cam->until(13).empty());
  const std::string both = kTwoTenants;
  d.file("registry.yaml", both.substr(0, both.find("  - name: other")));
  EXPECT_TRUE(other->closed_within(std::chrono::seconds(5)));
  cam->send(pingreq());
  EXPECT_FALSE(cam->until(13).empty());
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

}  // namespace
}  // namespace berth::test
