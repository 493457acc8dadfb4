// What happens while no engine serves, and devices that kill engines.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/gateway_process.h"
#include "tests/support/park_client.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

std::vector<std::string> payloads(const std::vector<Packet>& all) {
  std::vector<std::string> out;
  for (const auto& p : all) {
    if (p.type == 3) out.push_back(p.payload(5));
  }
  return out;
}

// zero-downtime 7.4.9: bytes and the close wait at the edge and are replayed.
TEST(Gap, PublishDisconnectAndFinWhileNoEngineIsThere) {
  GatewayProcess g({"--anonymous"});
  auto watch = connected(g.mqtt_port(), {.client_id = "watch"});
  watch->send(subscribe(1, "#", 1));
  watch->until(9);
  auto leaver =
      connected(g.mqtt_port(),
                {.client_id = "leaver", .will_topic = "will", .will_payload = "must not come"});
  auto crasher = connected(
      g.mqtt_port(), {.client_id = "crasher", .will_topic = "will", .will_payload = "must come"});
  auto stayer = connected(g.mqtt_port(), {.client_id = "stayer"});
  g.signal_engine(SIGSTOP);  // the supervisor needs a moment to end it: no engine meanwhile
  leaver->send(publish("last", "words", 0) + publish("last", "words 1", 1, 9) + disconnect());
  leaver->close();
  crasher->close();
  stayer->send(publish("from", "stayer", 1, 4) + pingreq());
  const auto pong = stayer->until(13);
  ASSERT_EQ(pong.size(), 1u) << "the edge answers PINGREQ without an engine, before the PUBACK";
  EXPECT_EQ(pong.back().type, 13u);
  EXPECT_EQ(stayer->until(4).back().id(), 4u);
  std::vector<std::string> got;
  EXPECT_TRUE(eventually([&] {
    for (const auto& p : payloads(watch->until(3, std::chrono::milliseconds(50)))) got.push_back(p);
    return got.size() >= 4;
  }));
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<std::string>{"must come", "stayer", "words", "words 1"}));
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 1);
}

// Large packets in parts fill what may be kept of all devices: the others are heard all the same,
// and who was held back goes on when there is room.
TEST(Gap, PartsOfPacketsKeepNobodyElseWaiting) {
  std::string name = std::filesystem::temp_directory_path() / "berth-gap-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  std::ofstream(directory + "/berth.yaml") << "mqtt: {input_buffer_total_bytes: 2097152}\n";
  {
    GatewayProcess g({"--anonymous", "--config", directory + "/berth.yaml"});
    const std::string large = publish("large", std::string(1'000'000, 'x'), 1, 1);
    std::vector<std::unique_ptr<RawClient>> slow;
    for (int i = 0; i < 4; ++i) {
      slow.push_back(connected(g.mqtt_port(), {.client_id = "slow" + std::to_string(i)}));
      slow.back()->send_some(large.substr(0, 900'000));
    }
    ASSERT_TRUE(eventually([&] { return g.metric("berth_inbound_buffer_bytes") > 1'000'000; }));
    auto small = connected(g.mqtt_port(), {.client_id = "small"});
    for (unsigned i = 1; i <= 3; ++i) {
      small->send(publish("t", "x", 1, i));
      const auto got = small->until(4);
      ASSERT_FALSE(got.empty()) << i;
      EXPECT_EQ(got.back().id(), i);
    }
    auto last = connected(g.mqtt_port(), {.client_id = "last"});
    std::thread rest([&] { last->send(large); });  // waits for room
    slow.clear();
    EXPECT_FALSE(last->until(4).empty());
    rest.join();
  }
  std::filesystem::remove_all(directory);
}

TEST(Gap, TakeOverSurvivesAnEngineDeath) {
  GatewayProcess g({"--anonymous"});
  const ConnectOptions o{.client_id = "same", .clean = false, .properties = expiry(600)};
  auto first = connected(g.mqtt_port(), o);
  first->send(subscribe(1, "t", 1));
  first->until(9);
  auto second = std::make_unique<RawClient>(g.mqtt_port());
  second->send(connect(o));
  g.signal_engine(SIGKILL);
  const auto ack_packets = second->until(2);
  ASSERT_FALSE(ack_packets.empty());
  EXPECT_EQ(ack_packets.back().body[0], 1) << "session present";
  EXPECT_TRUE(first->closed_within(std::chrono::seconds(10)));
  g.signal_engine(SIGKILL);
  auto pub = connected(g.mqtt_port(), {.client_id = "pub"});
  pub->send(publish("t", "x", 1, 1));
  EXPECT_EQ(payloads(second->until(3)), std::vector<std::string>{"x"});
  EXPECT_FALSE(second->gone());
}

// I6: neither an engine death nor a drain of the gateway is a device event.
TEST(Gap, I6_NoWillFromOurOwnRestart) {
  GatewayProcess g({"--anonymous"});
  const ConnectOptions device{.client_id = "d", .will_topic = "will", .will_payload = "gone"};
  auto d = connected(g.mqtt_port(), device);
  auto watch =
      connected(g.mqtt_port(), {.client_id = "w", .clean = false, .properties = expiry(600)});
  watch->send(subscribe(1, "will", 1));
  watch->until(9);
  g.signal_engine(SIGKILL);
  auto probe = connected(g.mqtt_port(), {.client_id = "probe"});
  EXPECT_EQ(g.terminate(), 0);
  const auto bye = d->until(14);
  ASSERT_FALSE(bye.empty());
  EXPECT_EQ(bye.back().type, 14u);
  EXPECT_EQ(bye.back().body[0], '\x8b') << "server shutting down";
  g.start();
  d = connected(g.mqtt_port(), device);
  watch = connected(g.mqtt_port(), {.client_id = "w", .clean = false, .properties = expiry(600)});
  probe = connected(g.mqtt_port(), {.client_id = "probe"});
  probe->send(publish("will", "marker", 1, 1));
  EXPECT_EQ(payloads(watch->until(3)), std::vector<std::string>{"marker"});
}

TEST(Gap, ReadyOnlyAfterRestoreAndUnharmedByOneDeath) {
  GatewayProcess g({"--anonymous"});
  int status = 0;
  g.get("/readyz", &status);
  EXPECT_EQ(status, 200);
  g.signal_engine(SIGKILL);
  for (int i = 0; i < 20; ++i) {
    g.get("/readyz", &status);
    EXPECT_EQ(status, 200);
  }
  EXPECT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
}

TEST(Start, PortOrStoreInUseIsExit69) {
  GatewayProcess g({"--anonymous"});
  const std::string port = std::to_string(g.mqtt_port());
  for (const char* shape : {"--log-level=info", "--single-process"}) {
    Process same_port({berth_binary(), "serve", shape, "--mqtt", "127.0.0.1:" + port, "--admin",
                       "127.0.0.1:0", "--data", g.directory() + "/other"},
                      g.directory() + "/log.port");
    EXPECT_EQ(same_port.wait(), 69) << same_port.log();
    Process same_store({berth_binary(), "serve", shape, "--mqtt", "127.0.0.1:0", "--admin",
                        "127.0.0.1:0", "--data", g.directory() + "/data"},
                       g.directory() + "/log.store");
    EXPECT_EQ(same_store.wait(), 69) << same_store.log();
  }
}

// I12. The fault is made by BERTH_FAULT_TOPIC: a PUBLISH to it aborts the engine.
TEST(Poison, I12_OneDeviceTakesEnginesDownTwiceAndNoMore) {
  setenv("BERTH_FAULT_TOPIC", "poison", 1);
  GatewayProcess g({"--anonymous"});
  unsetenv("BERTH_FAULT_TOPIC");
  auto good = connected(g.mqtt_port(), {.client_id = "good"}, 77);  // nobody is its address
  good->send(subscribe(1, "ok", 1));
  good->until(9);
  auto evil = connected(g.mqtt_port(), {.client_id = "evil"});
  evil->send(publish("poison", "x", 1, 1));
  EXPECT_TRUE(evil->closed_within(std::chrono::seconds(20)));
  EXPECT_TRUE(eventually([&] { return g.engine_pid() > 0; }));
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2);
  EXPECT_EQ(g.metric("berth_quarantined_total"), 1);
  for (int i = 0; i < 8; ++i) {  // on whichever shard
    RawClient again(g.mqtt_port());
    again.send(connect({.client_id = "evil"}));
    EXPECT_TRUE(again.closed_within(std::chrono::seconds(10))) << "its address stays out";
  }
  good->send(publish("ok", "fine", 1, 1));
  EXPECT_EQ(payloads(good->until(3)), std::vector<std::string>{"fine"});
  EXPECT_FALSE(good->gone());
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 2);
}

}  // namespace
}  // namespace berth::test
