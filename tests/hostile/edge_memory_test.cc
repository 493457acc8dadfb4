// Who sends much and finishes nothing: before log-in, after it, slowly. Memory stays below what
// docs/security.md says, and neighbours at the same address notice nothing. In both shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "tests/support/certificates.h"
#include "tests/support/limits.h"
#include "tests/support/raw_client.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr double kP99_ms = 400;  // on a machine that does other things too

class EdgeMemory : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> flags() const {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
  static void expect_well(Victim& v) {
    const VictimReport r = v.stop();
    std::printf("%s\n", r.text().c_str());
    EXPECT_EQ(r.sent, r.received);
    EXPECT_EQ(r.closed, 0u);
    EXPECT_LT(r.p99_ms, kP99_ms);
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, EdgeMemory, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

using Clients = std::vector<std::unique_ptr<RawClient>>;

TEST_P(EdgeMemory, HalfConnectsHaveABudgetOfTheirOwn) {
  raise_own_descriptors();
  const Setting bytes("BERTH_MQTT_BEFORE_LOGIN_BYTES", std::to_string(32 * kMiB));
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port()});
  const std::uint64_t before = resident_bytes(g.process().pid());
  const std::string half = from_hex("10 e0 d4 03") + str("MQTT") + std::string(50'000, '\5');
  Clients all;
  for (int i = 0; i < 1500; ++i) {  // 75 MB
    all.push_back(std::make_unique<RawClient>(g.mqtt_port()));
    all.back()->send_some(half);
  }
  EXPECT_TRUE(eventually([&] {
    return g.metric("berth_connections_pushed_out_total{reason=\"before_login\"}") > 1200;
  }));
  EXPECT_LT(g.metric("berth_inbound_buffer_bytes"), 9.0 * kMiB) << "a quarter is one address'";
  EXPECT_LT(resident_peak_bytes(g.process().pid()), before + 48 * kMiB);
  if (*GetParam() == 0) {
    EXPECT_LT(resident_peak_bytes(g.engine_pid()), 150 * kMiB) << "it never hears of halves";
  }
  expect_well(victim);
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 0);
}

TEST_P(EdgeMemory, SilentConnectionsOfAnAddressAreFew) {
  const Setting few("BERTH_MQTT_BEFORE_LOGIN_PER_ADDRESS", "50");
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port()});
  Clients all;
  for (int i = 0; i < 300; ++i) all.push_back(std::make_unique<RawClient>(g.mqtt_port()));
  EXPECT_TRUE(eventually([&] { return g.metric("berth_connections_accepted_total") >= 301; }));
  EXPECT_TRUE(eventually([&] { return g.metric("berth_connections_unauthenticated") <= 51; }));
  EXPECT_TRUE(eventually([&] {  // those who have had their time give way
    RawClient late(g.mqtt_port());
    return late.send(connect({.client_id = "late"})) && !late.until(2).empty();
  }));
  expect_well(victim);
}

TEST_P(EdgeMemory, HalfHandshakesAreInTheSameBudget) {
  std::string directory = std::filesystem::temp_directory_path() / "berth-keys-XXXXXX";
  Certificates ca(mkdtemp(directory.data()));
  ca.issue("server", "localhost");
  const Setting bytes("BERTH_MQTT_BEFORE_LOGIN_BYTES", std::to_string(8 * kMiB));
  const Setting listen("BERTH_MQTTS_LISTEN", "127.0.0.1:0");
  const Setting cert("BERTH_MQTTS_CERT_FILE", ca.file("server.crt"));
  const Setting key("BERTH_MQTTS_KEY_FILE", ca.file("server.key"));
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port()});
  Clients all;
  for (int i = 0; i < 200; ++i) all.push_back(std::make_unique<RawClient>(g.mqtts_port()));
  EXPECT_TRUE(eventually([&] { return g.metric("berth_connections_accepted_total") >= 201; }));
  EXPECT_LE(g.metric("berth_transport_connections{transport=\"mqtts\"}"), 43) << "of 49 KiB each";
  EXPECT_GE(g.metric("berth_connections_pushed_out_total{reason=\"before_login\"}"), 150);
  expect_well(victim);
  std::filesystem::remove_all(directory);
}

// Packets without their last byte fill what there is for large ones; a neighbour's comes through
// all the same, and in the end those are closed.
TEST_P(EdgeMemory, UnfinishedPacketsMakeRoomForOthers) {
  raise_own_descriptors();
  const Setting total("BERTH_MQTT_INPUT_BUFFER_TOTAL_BYTES", std::to_string(64 * kMiB));
  const Setting packet("BERTH_MQTT_MAX_PACKET_BYTES", std::to_string(kMiB + 100));
  GatewayProcess g(flags());
  Victim victim({.port = g.mqtt_port()});
  const std::uint64_t before = resident_bytes(g.process().pid());
  const std::string most = publish("u", std::string(kMiB, 'u'), 1, 1);
  const std::string_view less_one = std::string_view(most).substr(0, most.size() - 1);
  Clients all;
  std::vector<std::size_t> sent;
  for (int i = 0; i < 200; ++i) {  // 200 MB
    all.push_back(connected(g.mqtt_port(), {.client_id = "u" + std::to_string(i)}));
    sent.push_back(all.back()->send_some(less_one));
  }
  const auto push = [&] {
    for (std::size_t i = 0; i < all.size(); ++i)
      sent[i] += all[i]->send_some(less_one.substr(sent[i]));
  };
  EXPECT_TRUE(eventually([&] {
    push();
    return g.metric("berth_inbound_buffer_bytes") > 12.0 * kMiB;
  }));
  auto neighbour = subscribed(g.mqtt_port(), {.client_id = "n"}, "n", 1);
  neighbour->send(publish("n", std::string(600'000, 'n'), 1, 7));
  const auto end = Clock::now() + std::chrono::seconds(60);
  bool heard = false;
  while (!heard && Clock::now() < end) {
    push();
    const auto packets = neighbour->until(3, std::chrono::milliseconds(200));
    heard = !packets.empty() && packets.back().type == 3;
  }
  EXPECT_TRUE(heard) << "a message larger than a read, while all room was taken";
  EXPECT_LT(g.metric("berth_inbound_buffer_bytes"), 80.0 * kMiB);
  EXPECT_LT(resident_peak_bytes(g.process().pid()), before + 160 * kMiB);
  EXPECT_GT(g.metric("berth_connections_pushed_out_total{reason=\"unfinished_packet\"}"), 0);
  EXPECT_FALSE(neighbour->gone());
  expect_well(victim);
}

TEST_P(EdgeMemory, APacketThatNeverEndsIsClosedAndASlowOneIsNot) {
  const Setting time("BERTH_MQTT_PACKET_TIMEOUT_S", "5");
  GatewayProcess g(flags());
  auto never = connected(g.mqtt_port(), {.client_id = "never"});
  const std::string packet = publish("s", std::string(40'000, 's'), 1, 1);
  never->send(packet.substr(0, 100));
  auto slow = connected(g.mqtt_port(), {.client_id = "slow", .keep_alive_s = 1});
  const auto began = Clock::now();
  std::size_t at = 0;
  while (Clock::now() - began < std::chrono::seconds(6)) {  // bytes flow: it is alive
    if (at + 300 < packet.size()) slow->send(packet.substr(at, 200)), at += 200;
    ASSERT_FALSE(slow->closed_within(std::chrono::milliseconds(50)));
    never->send("x");
  }
  slow->send(packet.substr(at));
  EXPECT_FALSE(slow->until(4).empty());
  EXPECT_TRUE(eventually(
      [&] {
        never->send("x");
        return never->closed_within(std::chrono::milliseconds(50));
      },
      std::chrono::seconds(60)));
  EXPECT_EQ(g.metric("berth_packets_late_total"), 1);
}

}  // namespace
}  // namespace berth::test
