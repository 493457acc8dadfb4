// Imports, backups and files of the registry, in running gateways.
#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

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

// A table goes out to a spreadsheet and comes in again, in the charset of its country.
TEST(RegistryRest, ATableGoesOutAndComesIn) {
  const Directory d;
  GatewayProcess g({"--config", registry_in_store(d)});
  const Rest rest(g.admin_port());
  const std::string t = "/api/v1/tenants/acme";
  ASSERT_EQ(rest.put(t, R"({"display_name":"某某停车"})").status, 201);
  ASSERT_EQ(rest.put(t + "/sites/north", "{}").status, 201);
  ASSERT_EQ(rest.import("租户,车场,设备编号,名称,标签.车道\nacme,north,cam-1,1号道闸,东\n"
                        "acme,north,cam-2,,\n",
                        "text/csv")
                .status,
            200);
  EXPECT_NE(rest.get(t + "/devices?q=%E9%81%93").body.find(R"("display_name":"1号道闸")"),
            std::string::npos);
  EXPECT_EQ(rest.get(t + "/devices?label=%E8%BD%A6%E9%81%93=%E8%A5%BF").body, "{\"items\":[]}\n");
  EXPECT_EQ(rest.get(t + "/devices?q=%FF").status, 422);
  const std::string e = "/api/v1/registry/export";
  for (const char* bad : {"?format=xls", "?encoding=gb18030", "?format=csv&encoding=big5"})
    EXPECT_EQ(rest.get(e + bad).status, 422) << bad;
  const RestAnswer gb = rest.get(e + "?format=csv&encoding=gb18030");
  EXPECT_NE(gb.head.find("text/csv; charset=gb18030"), std::string::npos) << gb.head;
  EXPECT_NE(gb.body.find("1\xba\xc5\xb5\xc0\xd5\xa2"), std::string::npos);
  EXPECT_EQ(rest.get(e + "?format=csv&encoding=utf-8-bom").body.substr(0, 9), "\xef\xbb\xbftenant");
  const std::string backup = rest.get(e).body;
  EXPECT_EQ(rest.import(gb.body, "text/csv").body, "{\"records\":2,\"changed\":0,\"created\":0}\n")
      << "as it was";
  EXPECT_EQ(rest.remove(t + "/devices/cam-1").status, 204);
  EXPECT_EQ(rest.import(gb.body, "text/csv").status, 200);
  EXPECT_EQ(rest.get(e).body, backup);
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
  const auto expect_conflict = [&](const std::string& text, const std::string& detail) {
    const std::string body = rest.import(text, "text/csv").body;
    EXPECT_NE(body.find(R"("code":"conflict","detail":")" + detail + "\""), std::string::npos)
        << body;
  };
  expect_conflict(csv + "acme,north,e,d10000,p\n",
                  "line 2502: 'acme/e' has the credential 'd10000@acme' of 'acme/d10000'");
  expect_conflict("tenant,site,device,auth_id,password\nacme,north,e,d10001,p\n",
                  "line 2: 'acme/e' has the credential 'd10001@acme' of 'acme/d10001'");
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

}  // namespace
}  // namespace berth::test
