// Records of the registry over REST, in running gateways.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

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
    EXPECT_NE(a.body.find(body), std::string::npos) << a.body;
    EXPECT_NE(a.body.find(R"(,"trace_id":")"), std::string::npos) << a.body;
    EXPECT_NE(a.head.find("Content-Type: application/problem+json"), std::string::npos) << a.head;
  };
  const std::string missing = R"("code":"not_found","detail":)";
  expect_json(rest.get("/api/v1/nothing"), 404, missing + R"("no such page")");
  expect_json(rest.get("/api/v1/"), 404, missing);
  expect_json(rest.get("/api/v2/tenants"), 404, missing);
  expect_json(rest.remove("/api/v1/quarantine/none"), 404, missing);
  expect_json(rest.remove("/api/v1/status"), 405, R"("code":"method_not_allowed")");
  expect_json(Rest(g.admin_port(), "").get("/api/v1/tenants"), 401,
              R"("code":"unauthorized","detail":"needs \"Authorization: Bearer)");
  expect_json(rest.get("/nothing"), 404, missing);
  const std::string t = "/api/v1/tenants/acme";
  ASSERT_EQ(rest.put(t, "{}").status, 201);
  const std::string why = R"("code":"invalid","detail":"enabled: true or false is needed, )"
                          R"(without quotes, not \"no\"")";
  expect_json(rest.patch(t, R"({"enabled":"no"})"), 422, why);
  expect_json(rest.put(t, R"({"enabled":"no"})"), 422, why);
  expect_json(rest.import("tenants: [{name: acme, enabled: \"no\"}]"), 422,
              R"("code":"invalid","detail":"line 1: enabled: true or false is needed)");
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

}  // namespace
}  // namespace berth::test
