// Presence and history of devices in running gateways, as a back end sees them: events over MQTT,
// lists over REST (docs/platform.md).
#include <gtest/gtest.h>

#include <string>

#include "tests/support/gateway_process.h"
#include "tests/support/loopback.h"
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
                               d.file("registry.yaml", registry()) + "}\n")};
    if (std::string(GetParam()) == "single") all.emplace_back("--single-process");
    return all;
  }
  // With a device that is behind another one.
  static std::string registry() {
    std::string all = kTwoTenants;
    const std::string devices = "    devices:\n";
    return all.insert(
        all.find(devices) + devices.size(),
        "      - {name: gate, site: north, parent: cam, firmware: \"1.0\", display_name: 车道1}\n");
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
  EXPECT_NE(online.find(R"("children":["gate"])"), std::string::npos) << online;
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
  const RestAnswer gate = get("tenants/acme/devices/gate/presence");
  EXPECT_TRUE(has(gate, R"("parent":"cam")")) << gate.body;
  EXPECT_TRUE(has(gate, R"("state":"online")")) << gate.body;
  EXPECT_TRUE(has(gate, R"("firmware":"1.0")")) << gate.body;
  EXPECT_TRUE(has(get("presence?tenant=acme&online=true"), R"("device":"gate")"));
  cam->send(disconnect());
  const std::string offline = next_publish(*service);
  EXPECT_NE(offline.find("OFFLINE"), std::string::npos) << offline << ": nothing before that";
  EXPECT_NE(offline.find("goodbye"), std::string::npos) << offline;
  EXPECT_TRUE(eventually([&] { return has(get(one), "\"cause\":\"goodbye\""); }));
  EXPECT_TRUE(has(get("tenants/acme/devices/gate/presence"), "\"cause\":\"goodbye\""));
  EXPECT_TRUE(eventually([&] { return times(get(past), "\"ended\"") == 1; })) << get(past).body;
  EXPECT_TRUE(has(get("history?tenant=acme&site=north&types=ended"), "\"goodbye\""));
}

// As in lists of the registry.
TEST_P(PresenceShapes, DevicesAreFoundByWhatPeopleCallThem) {
  auto cam = connected(gateway_.mqtt_port(), as("cam@acme", "secret", "cam"));
  const std::string lane = "%E8%BD%A6%E9%81%931";  // 车道1
  const RestAnswer found = get("presence?tenant=acme&q=" + lane);
  EXPECT_TRUE(has(found, R"("device":"gate","display_name":"车道1")")) << found.body;
  EXPECT_FALSE(has(found, R"("device":"cam")")) << found.body;
  EXPECT_TRUE(has(get("presence?tenant=acme&q=CAM"), R"("device":"cam")"));
  EXPECT_TRUE(has(get("tenants/acme/devices/gate/presence"), R"("display_name":"车道1")"));
  const auto queued = [&](const std::string& device) {
    return Rest(gateway_.admin_port())
        .ask("POST", "/api/v1/commands",
             R"({"tenant":"acme","device":")" + device + R"(","id":"for-)" + device +
                 R"(","type":"white_list","payload":{}})",
             "Content-Type: application/json\r\n");
  };
  const RestAnswer one = queued("gate");
  EXPECT_TRUE(has(one, R"("display_name":"车道1")")) << one.body;
  EXPECT_EQ(queued("door").status, 202);
  const RestAnswer commands = get("commands?tenant=acme&q=" + lane);
  EXPECT_TRUE(has(commands, "for-gate") && !has(commands, "for-door")) << commands.body;
  EXPECT_TRUE(has(commands, R"("display_name":"车道1")")) << commands.body;
  Rest(gateway_.admin_port())
      .ask("POST", "/api/v1/commands/for-gate/cancel?tenant=acme", "{}",
           "Content-Type: application/json\r\n");
  const RestAnswer past = get("history?tenant=acme&site=north&q=" + lane);
  EXPECT_TRUE(has(past, R"("display_name":"车道1")")) << past.body;
  EXPECT_FALSE(has(past, R"("device":"cam")")) << past.body;
  EXPECT_TRUE(has(get("history?tenant=acme&site=north&q=cam"), R"("device":"cam")"));
  EXPECT_EQ(get("commands?tenant=acme&q=%FF").status, 422);
  EXPECT_EQ(get("history?tenant=acme&device=cam&q=%FF").status, 422);
}

TEST_P(PresenceShapes, WhatIsAskedWrongIsRefused) {
  EXPECT_EQ(get("presence?tenant=acme&q=%FF").status, 422);
  EXPECT_EQ(get("presence").status, 422);
  EXPECT_EQ(get("presence?tenant=nobody").status, 404);
  EXPECT_EQ(get("presence?tenant=acme&since=yesterday").status, 422);
  EXPECT_EQ(get("presence?tenant=acme&limit=501").status, 422);
  EXPECT_EQ(get("tenants/acme/devices/nobody/presence").status, 404);
  EXPECT_EQ(get("history?tenant=acme").status, 422);
  EXPECT_EQ(get("history?tenant=acme&device=cam&types=all").status, 422);
  for (const char* list : {"history?tenant=acme&device=cam&", "presence?tenant=acme&",
                           "commands?tenant=acme&", "tenants/acme/devices?"}) {
    const RestAnswer hostile = get(list + std::string("cursor=cam"));
    EXPECT_EQ(hostile.status, 422) << list;
    EXPECT_NE(hostile.body.find("\"invalid_cursor\""), std::string::npos) << hostile.body;
  }
  const RestAnswer all = get("presence?tenant=acme");
  EXPECT_EQ(all.status, 200);
  EXPECT_NE(all.body.find("\"never\""), std::string::npos) << all.body;
  const RestAnswer first = get("presence?tenant=acme&limit=1");
  const std::size_t at = first.body.find("\"next\":\"") + 8;
  ASSERT_GT(at, 8u) << first.body;
  const std::string next = first.body.substr(at, first.body.find('"', at) - at);
  EXPECT_EQ(next.find("cam"), std::string::npos) << next;
  EXPECT_NE(get("presence?tenant=acme&limit=1&cursor=" + next).body.find("\"door\""),
            std::string::npos);
}

// A stream of events, read until it ends or is closed.
class Events {
 public:
  Events(int port, const std::string& query, const std::string& last_id = {})
      : fd_(connect_loopback(port)) {
    std::string out = "GET /api/v1/events?" + query +
                      " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " +
                      AdminTokens::of(port) + "\r\n";
    if (!last_id.empty()) out += "Last-Event-ID: " + last_id + "\r\n";
    out += "\r\n";
    EXPECT_EQ(::send(fd_, out.data(), out.size(), MSG_NOSIGNAL), static_cast<ssize_t>(out.size()));
    const timeval limit{0, 100'000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Events() { ::close(fd_); }
  // Until `text` has come.
  bool has(const std::string& text) {
    return eventually([&] {
      char buffer[65536];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n > 0) all_.append(buffer, static_cast<std::size_t>(n));
      return all_.find(text) != std::string::npos;
    });
  }
  const std::string& all() const { return all_; }
  std::size_t times(const std::string& text) const {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = all_.find(text, at)) != std::string::npos; ++at) ++n;
    return n;
  }
  // Of the first event of this type.
  std::string id_of(const std::string& type) const {
    const std::size_t at = all_.rfind("id: ", all_.find("event: " + type + "\n"));
    return at == std::string::npos ? "" : all_.substr(at + 4, all_.find('\n', at) - at - 4);
  }

 private:
  int fd_;
  std::string all_;
};

TEST_P(PresenceShapes, EventsComeAsTheyHappenAndAgainFromWhereAClientWas) {
  const bool single = std::string(GetParam()) == "single";
  const int admin = gateway_.admin_port();
  Events all(admin, "tenant=acme");
  Events other(admin, "tenant=other");
  ASSERT_TRUE(all.has("200") && other.has("200"));
  auto cam = connected(gateway_.mqtt_port(), as("cam@acme", "secret", "cam"));
  EXPECT_TRUE(all.has("event: connected\n")) << all.all();
  EXPECT_TRUE(all.has("event: presence\n")) << all.all();
  EXPECT_TRUE(all.has(R"("state":"online")")) << all.all();
  EXPECT_EQ(login(gateway_.mqtt_port(), as("cam@acme", "wrong", "x")), 0x86);
  EXPECT_TRUE(all.has("event: refused\n")) << all.all();
  Events again(admin, "tenant=acme&device=cam&types=connected,refused", all.id_of("connected"));
  EXPECT_TRUE(again.has("event: refused\n")) << again.all();
  EXPECT_EQ(again.times("event: connected\n"), 0u) << "it was the first one: " << again.all();
  if (!single) gateway_.signal_engine(SIGKILL);
  cam->send(publish("v1/event/x", "1", 1, 1));
  EXPECT_FALSE(cam->until(4).empty()) << "the next engine serves";
  cam->send(disconnect());
  EXPECT_TRUE(all.has("event: ended\n")) << all.all();
  EXPECT_TRUE(all.has(R"("state":"offline")")) << all.all();
  EXPECT_TRUE(again.times("gap") == 0u) << again.all();
  EXPECT_EQ(other.times("event:"), 0u) << other.all();
  // Of what the engine before had in memory, the history of a device has all but presence.
  Events later(admin, "tenant=acme&device=cam", all.id_of("connected"));
  EXPECT_TRUE(later.has("event: ended\n")) << later.all();
  EXPECT_EQ(later.times("event: refused\n"), 1u) << later.all();
  EXPECT_EQ(later.times("event: gap\n"), single ? 0u : 1u) << later.all();
  EXPECT_EQ(all.times("event: gap\n"), single ? 0u : 1u) << all.all();
  EXPECT_EQ(get("events?tenant=nobody&types=x").status, 422);
  EXPECT_EQ(get("events?site=north").status, 422);
}

TEST_P(PresenceShapes, InsightsSayWhoAndWhy) {
  const int port = gateway_.mqtt_port();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(login(port, as("thief@acme", "x", "c")), 0x86);
  for (int i = 0; i < 4; ++i) {
    auto cam = connected(port, as("cam@acme", "secret", "cam"));
    cam->send(disconnect());
    EXPECT_TRUE(cam->closed_within(std::chrono::seconds(20)));
  }
  const auto list = [&](const std::string& what) { return get("insights/" + what); };
  EXPECT_TRUE(eventually([&] { return has(list("flapping?tenant=acme"), R"("ends":4)"); }))
      << list("flapping?tenant=acme").body;
  EXPECT_TRUE(has(list("flapping?tenant=acme"), R"("cause":"goodbye")"));
  const RestAnswer refused = list("refused?tenant=acme&limit=1");
  EXPECT_TRUE(has(refused, R"("name":"thief@acme")")) << refused.body;
  EXPECT_TRUE(has(refused, R"("count":3)")) << refused.body;
  EXPECT_TRUE(has(refused, R"("address":"127.0.0.1")")) << refused.body;
  EXPECT_EQ(times(list("refused?tenant=other"), R"("name")"), 0u);
  EXPECT_EQ(times(list("flapping"), R"("ends":4)"), 1u) << "an administrator asks for all";
  EXPECT_TRUE(has(list("slow?tenant=acme"), R"("items":[])"));
  EXPECT_TRUE(has(list("shared-ids?tenant=acme&site=north"), R"("items":[])"));
  EXPECT_EQ(list("traffic?tenant=acme&by=tenant").status, 200);
  EXPECT_EQ(list("traffic?by=plate").status, 422);
  EXPECT_EQ(list("flapping?by=tenant").status, 422);
  EXPECT_EQ(list("flapping?site=north").status, 422);
  EXPECT_EQ(list("other").status, 404);
}

INSTANTIATE_TEST_SUITE_P(Every, PresenceShapes, ::testing::Values("single", "supervised"),
                         [](const auto& i) { return std::string(i.param); });

}  // namespace
}  // namespace berth::test
