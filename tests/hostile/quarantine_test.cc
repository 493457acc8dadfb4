// One attacker ends at most two engines, whatever names it takes; nobody else is closed (I12).
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/cluster.h"
#include "tests/support/gateway_process.h"
#include "tests/support/park_client.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

// mosquitto_passwd -b FILE NAME secret, version 2.0.11
constexpr const char* kSecret =
    "$7$101$arQvV6TuUEq4Ebq2$SsMPy5lvEp+dtsj/eyXNvFAE8cwX0wb6JPG2kf+8V5tfaxvQ0Pl9Lfa9"
    "O01Von3CgyjmhA7IvNbnbJZ1wp0qPQ==";

class Attack : public testing::Test {
 protected:
  Attack() {
    std::string name = std::filesystem::temp_directory_path() / "berth-attack-XXXXXX";
    directory_ = mkdtemp(name.data());
    std::ofstream users(directory_ + "/users");
    for (const char* user : {"evil", "good", "victim"}) users << user << ":" << kSecret << "\n";
    users.close();
    ::chmod((directory_ + "/users").c_str(), 0600);
    std::ofstream(directory_ + "/berth.yaml")
        << "auth: {anonymous: always, password_file: " << directory_ << "/users}\n";
    // The option of a test build; without it in the environment no engine fails.
    setenv("BERTH_FAULT_TOPIC", "poison", 1);
  }
  ~Attack() override {
    unsetenv("BERTH_FAULT_TOPIC");
    std::filesystem::remove_all(directory_);
  }
  static ConnectOptions as(const std::string& user, const std::string& client_id) {
    ConnectOptions o{.client_id = client_id};
    o.user = user;
    if (!user.empty()) o.password = "secret";
    return o;
  }
  std::vector<std::string> flags() const { return {"--config", directory_ + "/berth.yaml"}; }

  // CONNECT in two segments, then what kills. True: the gateway has let it in.
  static bool try_once(int port, const ConnectOptions& o, const std::string& topic) {
    RawClient c(port);
    const std::string hello = connect(o);
    if (!c.send(hello.substr(0, 5)) || !c.send(hello.substr(5))) return false;
    const auto got = c.until(2);
    if (got.empty() || got.back().type != 2 || got.back().body[1] != 0) {
      if (got.empty()) return false;
      EXPECT_EQ(got.back().body[1], '\x8a') << "it is told: banned";
      return false;
    }
    c.send(publish(topic, "x", 1, 1));
    EXPECT_TRUE(c.closed_within(std::chrono::seconds(30))) << "nor does its connection stay";
    return true;
  }

  std::string directory_;
};

TEST_F(Attack, OfOneUserUnderEverNewClientIds) {
  GatewayProcess g(flags());
  auto good = connected(g.mqtt_port(), as("good", "cam"));
  good->send(subscribe(1, "ok", 1));
  good->until(9);
  Victim victim({.port = g.mqtt_port(), .login = as("victim", "victim")});
  for (int i = 0; i < 6; ++i) {
    const std::string id = i % 2 == 0 ? "" : "cam" + std::to_string(i);
    try_once(g.mqtt_port(), as("evil", id), "poison");
    ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  }
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2) << g.log();
  EXPECT_EQ(g.metric("berth_connection_attempts_total{outcome=\"quarantined\"}"), 5);
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
  EXPECT_GT(report.sent, 0u);
  // Another user with the same client id is another one.
  auto other = connected(g.mqtt_port(), as("victim", "cam1"));
  other->send(publish("ok", "fine", 1, 1));
  EXPECT_FALSE(other->until(4).empty());
  EXPECT_FALSE(good->until(3).empty());
  EXPECT_FALSE(good->gone());
}

TEST_F(Attack, IsListedWithItsInputAndLifted) {
  GatewayProcess g(flags());
  std::vector<std::unique_ptr<RawClient>> before;
  for (int i = 0; i < 3; ++i)
    before.push_back(connected(g.mqtt_port(), as("evil", "open" + std::to_string(i))));
  try_once(g.mqtt_port(), as("evil", "a"), "poison");
  for (auto& c : before)
    EXPECT_TRUE(c->closed_within(std::chrono::seconds(20))) << "all of the principal's end";
  ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2);
  const Rest rest(g.admin_port());
  const std::string list = rest.get("/api/v1/quarantine").body;
  const std::size_t id_at = list.find("\"id\":\"");
  const std::size_t file_at = list.find("\"input\":\"");
  ASSERT_NE(id_at, std::string::npos) << list;
  ASSERT_NE(file_at, std::string::npos) << list;
  EXPECT_NE(list.find("\"kind\":\"principal\""), std::string::npos) << list;
  EXPECT_NE(list.find("\"who\":\"user=evil client_id=a\""), std::string::npos) << list;
  struct stat key {};
  ASSERT_EQ(::stat((g.directory() + "/data/quarantine.key").c_str(), &key), 0);
  EXPECT_EQ(key.st_mode & 0777, 0600u);
  std::string file = list.substr(file_at + 9, list.find('"', file_at + 9) - file_at - 9);
  for (std::size_t i = 0; (i = file.find("\\/", i)) != std::string::npos;) file.erase(i, 1);
  struct stat s {};
  ASSERT_EQ(::stat(file.c_str(), &s), 0) << file;
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  std::ifstream in(file);
  const std::string kept((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  EXPECT_EQ(kept, publish("poison", "x", 1, 1)) << "what killed, for the report";
  EXPECT_NE(g.log().find(file), std::string::npos) << "and the log names it";
  RawClient refused(g.mqtt_port());
  refused.send(connect(as("evil", "b")));
  const auto answer = refused.until(2);
  ASSERT_FALSE(answer.empty());
  EXPECT_EQ(answer.back().body[1], '\x8a');
  EXPECT_EQ(rest.remove("/api/v1/quarantine/" + list.substr(id_at + 6, 32)).status, 200);
  EXPECT_EQ(rest.remove("/api/v1/quarantine/" + list.substr(id_at + 6, 32)).status, 404);
  EXPECT_TRUE(eventually([&] {
    RawClient again(g.mqtt_port());
    again.send(connect(as("evil", "b")));
    const auto got = again.until(2);
    return !got.empty() && got.back().body[1] == 0;
  }));
}

// Nobody's name: its address. Others who have logged in from there are others.
TEST_F(Attack, OfNobodyUnderEverNewNames) {
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port(), .login = as("victim", "victim")});
  for (int i = 0; i < 6; ++i) {
    try_once(g.mqtt_port(), as("", i % 2 == 0 ? "" : "x" + std::to_string(i)), "poison");
    ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  }
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2) << g.log();
  RawClient elsewhere(g.mqtt_port(), 0, 77);
  elsewhere.send(connect(as("", "elsewhere")));
  const auto got = elsewhere.until(2);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().body[1], 0) << "another address";
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
}

// Nor do connections help that it has held open since before: each would kill one engine more.
TEST_F(Attack, OfNobodyWithConnectionsHeldOpen) {
  for (const char* shards : {"1", "2"}) {
    std::vector<std::string> with = flags();
    with.insert(with.end(), {"--shards", shards});
    GatewayProcess g(with);
    Victim victim({.port = g.mqtt_port(), .login = as("victim", "victim")});
    auto bystander = connected(g.mqtt_port(), {.client_id = "bystander"}, 77);
    std::vector<std::unique_ptr<RawClient>> held;
    for (int i = 0; i < 6; ++i)
      held.push_back(connected(g.mqtt_port(), {.client_id = "held" + std::to_string(i)}));
    for (auto& c : held) {
      c->send(publish("poison", "x", 1, 1));
      EXPECT_TRUE(c->closed_within(std::chrono::seconds(30)));
      ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
    }
    EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2) << g.log();
    bystander->send(publish("ok", "fine", 1, 1));
    EXPECT_FALSE(bystander->until(4).empty()) << "another address";
    const VictimReport report = victim.stop();
    EXPECT_EQ(report.closed, 0u) << report.text();
    EXPECT_EQ(report.received, report.sent) << report.text();
  }
}

// All at once: which of them an engine dies of does not matter.
TEST_F(Attack, OfNobodyWithManyConnectionsAtOnce) {
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port(), .login = as("victim", "victim")});
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 6; ++i)
    held.push_back(connected(g.mqtt_port(), {.client_id = "held" + std::to_string(i)}));
  for (auto& c : held) c->send(publish("poison", "x", 1, 1));
  for (auto& c : held) EXPECT_TRUE(c->closed_within(std::chrono::seconds(30)));
  ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2) << g.log();
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
}

TEST_F(Attack, OfNobodyWithConnectionsHeldOpenInACluster) {
  Cluster c({.engines = 4, .edges = 2, .engine_flags = flags(), .edge_flags = {}});
  ASSERT_NE(c.active(), nullptr);
  Victim victim({.port = c.edges[1]->mqtt_port(), .login = as("victim", "victim")});
  std::vector<std::unique_ptr<RawClient>> held;
  for (std::size_t i = 0; i < 6; ++i)
    held.push_back(
        connected(c.edges[i % 2]->mqtt_port(), {.client_id = "held" + std::to_string(i)}));
  held[0]->send(publish("poison", "x", 1, 1));
  for (auto& h : held)
    EXPECT_TRUE(h->closed_within(std::chrono::seconds(30))) << "at the other edge too";
  ASSERT_NE(c.active(), nullptr);
  EXPECT_EQ(std::count_if(c.engines.begin(), c.engines.end(),
                          [](const auto& e) { return e->process().running(); }),
            2);
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
}

// An engine that runs out of memory proves nothing against the device that it happens to work for:
// but one that makes engines run out of memory by itself is found.
TEST_F(Attack, WithoutEvidenceIsFoundOneAtATime) {
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port(), .login = as("victim", "victim")});
  std::vector<std::unique_ptr<RawClient>> others;
  for (int i = 0; i < 5; ++i) {
    others.push_back(connected(g.mqtt_port(), as("good", "g" + std::to_string(i))));
    others.back()->send_some(publish("large", std::string(100'000, 'x'), 1, 1).substr(0, 50'000));
  }
  auto evil = connected(g.mqtt_port(), as("evil", "e"));
  evil->send(publish("poison/memory", "x", 1, 1));
  EXPECT_TRUE(evil->closed_within(std::chrono::seconds(30))) << g.log();
  ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  EXPECT_LE(g.metric("berth_engine_deaths_total"), 3) << g.log();
  EXPECT_EQ(g.metric("berth_quarantined_total"), 1);
  EXPECT_GE(g.metric("berth_probations_total"), 1);
  EXPECT_NE(g.log().find("out_of_memory=true"), std::string::npos);
  for (auto& o : others) {
    o->send(publish("large", std::string(100'000, 'x'), 1, 1).substr(50'000));
    EXPECT_FALSE(o->until(4).empty());
  }
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
}

// Kills from outside prove nothing, however many.
TEST_F(Attack, AnOperatorsKillsHarmNobody) {
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port(), .login = as("victim", "victim")});
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t rounds = victim.rounds();
    g.signal_engine(SIGKILL);
    ASSERT_TRUE(eventually([&] { return victim.rounds() > rounds + 2; })) << i;
  }
  EXPECT_EQ(g.metric("berth_quarantined_total"), 0);
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
}

// Whoever is nobody is its address over Park as over MQTT; another address with the same client id
// is another one.
TEST_F(Attack, OfNobodyInWhicheverProtocol) {
  std::ofstream(directory_ + "/berth.yaml")
      << "auth: {anonymous: always}\nmqtt: {proxy_protocol: true}\n"
      << "park: {listen: \"127.0.0.1:0\", proxy_protocol: true}\n";
  GatewayProcess g(flags());
  const auto from = [](const std::string& address) {
    return "PROXY TCP4 " + address + " 10.0.0.1 1 2\r\n";
  };
  RawClient evil(g.mqtt_port());
  evil.send(from("192.0.2.1") + connect({.client_id = "cam"}));
  ASSERT_FALSE(evil.until(2).empty());
  evil.send(publish("poison", "x", 1, 1));
  EXPECT_TRUE(evil.closed_within(std::chrono::seconds(30)));
  ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  ParkClient over_park(g.park_port(), {.client_id = "cam"}, {}, from("192.0.2.1"));
  EXPECT_FALSE(over_park.welcome());
  ParkClient other(g.park_port(), {.client_id = "cam"}, {}, from("192.0.2.2"));
  EXPECT_TRUE(other.welcome());
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2);
}

TEST_F(Attack, InAClusterByWayOfEveryEdge) {
  Cluster c({.engines = 4, .edges = 2, .engine_flags = flags(), .edge_flags = {}});
  ASSERT_NE(c.active(), nullptr);
  Victim victim({.port = c.edges[1]->mqtt_port(), .login = as("victim", "victim")});
  auto watcher = subscribed(c.edges[1]->mqtt_port(), as("good", "watcher"), "will", 1);
  for (int i = 0; i < 4; ++i) {
    auto& edge = c.edges[static_cast<std::size_t>(i % 2)];
    ConnectOptions evil = as("evil", "x" + std::to_string(i));
    evil.will_topic = "will";
    evil.will_payload = evil.client_id;
    try_once(edge->mqtt_port(), evil, "poison");
    ASSERT_NE(c.active(), nullptr);
  }
  const auto will = watcher->until(3);
  ASSERT_FALSE(will.empty()) << "the third engine hears of the end of its connection";
  EXPECT_EQ(will.back().payload(5), "x0");
  const auto alive = [&] {
    return std::count_if(c.engines.begin(), c.engines.end(),
                         [](const auto& e) { return e->process().running(); });
  };
  // The last to die may have closed its links and not have ended yet.
  EXPECT_TRUE(eventually([&] { return alive() <= 2; })) << "two die, whichever edge it uses";
  EXPECT_EQ(alive(), 2) << "and no more";
  EXPECT_TRUE(eventually([&] {
    return std::all_of(c.edges.begin(), c.edges.end(), [](const auto& e) {
      return e->get("/api/v1/quarantine").find("\"deaths\":2") != std::string::npos;
    });
  })) << "all edges know";
  const Rest rest(c.edges[0]->admin_port());
  const std::string list = rest.get("/api/v1/quarantine").body;
  const std::size_t id_at = list.find("\"id\":\"");
  ASSERT_NE(id_at, std::string::npos) << list;
  EXPECT_NE(list.find("\"who\":\"user=evil client_id=x"), std::string::npos) << list;
  EXPECT_EQ(rest.remove("/api/v1/quarantine/" + list.substr(id_at + 6, 32)).status, 200);
  EXPECT_TRUE(eventually([&] {
    RawClient again(c.edges[1]->mqtt_port());
    again.send(connect(as("evil", "b")));
    const auto got = again.until(2);
    return !got.empty() && got.back().body[1] == 0;
  })) << "lifted at one edge, it is at all";
  const VictimReport report = victim.stop();
  EXPECT_EQ(report.closed, 0u) << report.text();
  EXPECT_EQ(report.received, report.sent) << report.text();
}

}  // namespace
}  // namespace berth::test
