// The gateway with its sessions in a real Redis: engines killed, Redis killed and stopped, the
// gateway moved to another place, two gateways and one store.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/acting.h"
#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/redis_server.h"
#include "tests/support/swarm.h"

namespace berth::test {
namespace {

std::vector<std::string> flags_for(const RedisServer& redis, std::vector<std::string> more = {}) {
  std::vector<std::string> f{"--anonymous", "--store", redis.url()};
  f.insert(f.end(), more.begin(), more.end());
  return f;
}

const ConnectOptions kKept{.client_id = "kept", .clean = false, .properties = expiry(600)};

TEST(Redis, I1toI4_EnginesKilledUnderLoadAreNotNoticed) {
  RedisServer redis;
  GatewayProcess g(flags_for(redis));
  Swarm swarm({.port = g.mqtt_port(), .devices = 200});
  ASSERT_TRUE(swarm.connect_all());
  run_acting(swarm, std::chrono::seconds(5), std::chrono::seconds(1),
             [&] { return send_signal(g.engine_pid(), SIGKILL); });
  EXPECT_TRUE(swarm.settle());
  const SwarmReport r = swarm.report();
  EXPECT_EQ(r.closed, 0u) << r.first_problem;
  EXPECT_EQ(r.lost, 0u) << r.first_problem;
  EXPECT_EQ(r.resent_live, 0u) << r.first_problem;
  EXPECT_EQ(r.out_of_order, 0u) << r.first_problem;
  EXPECT_EQ(r.qos2_doubled + r.qos0_doubled, 0u) << r.first_problem;
  EXPECT_GT(r.published, 100u);
  EXPECT_GE(g.metric("berth_engine_deaths_total"), 2);
}

// I1: Redis is away: connections stay, QoS 0 flows, acknowledgements wait, nothing is acknowledged
// that is not stored.
TEST(Redis, AwayAcksWaitQos0FlowsAndItRecovers) {
  RedisServer redis;
  GatewayProcess g(flags_for(redis));
  auto kept = subscribed(g.mqtt_port(), kKept, "t", 1);
  auto plain = subscribed(g.mqtt_port(), {.client_id = "plain"}, "q0", 0);
  auto p = connected(g.mqtt_port(), {.client_id = "p"});
  redis.kill9();
  p->send(publish("t", "waits", 1, 1));
  auto other = connected(g.mqtt_port(), {.client_id = "other"});
  other->send(publish("q0", "flows", 0));
  const auto flowed = plain->until(3);
  ASSERT_FALSE(flowed.empty());
  EXPECT_EQ(flowed.back().payload(5), "flows");
  EXPECT_TRUE(eventually([&] {
    int status = 0;
    g.get("/readyz", &status);
    return status == 503;
  }));
  EXPECT_EQ(g.metric("berth_store_up"), 0);
  for (const Packet& early : p->until(4, std::chrono::milliseconds(50))) EXPECT_NE(early.type, 4);
  redis.start();
  const auto acked = p->until(4);
  ASSERT_FALSE(acked.empty());
  EXPECT_EQ(acked.back().id(), 1u);
  const auto got = kept->until(3);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().payload(5), "waits");
  for (const auto* c : {&kept, &plain, &p, &other}) EXPECT_FALSE((*c)->gone());
}

// Redis takes writes and has too few copies: nothing is acknowledged, and /readyz says why.
TEST(Redis, WithoutItsReplicaTheGatewayIsNotReadyAndSaysWhy) {
  RedisServer redis;
  RedisServer copy({"--replicaof", "127.0.0.1 " + std::to_string(redis.port())});
  ASSERT_TRUE(eventually([&] { return copy.call({"ROLE"}).items.at(3).text == "connected"; }));
  for (const bool one_process : {false, true}) {
    auto flags = flags_for(redis);
    if (one_process) flags.push_back("--single-process");
    setenv("BERTH_STORE_REDIS_WAIT_REPLICAS", "1", 1);
    GatewayProcess g(flags);
    unsetenv("BERTH_STORE_REDIS_WAIT_REPLICAS");
    const auto status = [&] {
      int is = 0;
      g.get("/readyz", &is);
      return is;
    };
    EXPECT_TRUE(eventually([&] { return status() == 200; })) << g.get("/readyz");
    EXPECT_EQ(g.metric("berth_store_unconfirmed_seconds"), 0);
    auto p = connected(g.mqtt_port(), {.client_id = "p"});
    copy.stop();  // no device says anything: the lease's renewal finds out
    EXPECT_TRUE(eventually([&] { return status() == 503; }));
    p->send(publish("t", "waits", 1, 1));
    const std::string body = g.get("/readyz");
    EXPECT_NE(body.find("- Redis confirms no write: 0 of 1 replicas (for "), std::string::npos)
        << body;
    EXPECT_NE(body.find(redis.url()), std::string::npos) << body;
    EXPECT_EQ(g.metric("berth_store_up"), 0);
    EXPECT_GT(g.metric("berth_store_unconfirmed_seconds"), 0);
    EXPECT_EQ(g.get("/metrics").find("store_trouble"), std::string::npos);
    copy.go_on();
    EXPECT_EQ(p->until(4).back().id(), 1u);
    EXPECT_TRUE(eventually([&] { return status() == 200; })) << g.get("/readyz");
    EXPECT_EQ(g.metric("berth_store_unconfirmed_seconds"), 0);
  }
}

// The disk of the first is gone with it: another place, the same Redis.
TEST(Redis, I1_AGatewayAtAnotherPlaceGoesOnWithTheSessions) {
  RedisServer redis;
  {
    GatewayProcess first(flags_for(redis));
    auto kept = subscribed(first.mqtt_port(), kKept, "t", 1);
    kept->close();
    auto p = connected(first.mqtt_port(), {.client_id = "p"});
    p->send(publish("t", "m1", 1, 1) + publish("r", "stays", 1, 2, 5, true));
    EXPECT_EQ(p->until(4).back().id(), 1u);
    EXPECT_EQ(p->until(4).back().id(), 2u);
    first.kill9();
  }
  GatewayProcess second(flags_for(redis));  // waits for the lease of the first to end
  auto kept = std::make_unique<RawClient>(second.mqtt_port());
  kept->send(connect(kKept));
  const auto connack = kept->until(2);
  ASSERT_FALSE(connack.empty());
  EXPECT_EQ(connack.back().body[0], 1) << "session present";
  const auto got = kept->until(3);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().payload(5), "m1");
  kept->send(subscribe(2, "r", 1));
  const auto retained = kept->until(3);
  ASSERT_FALSE(retained.empty());
  EXPECT_EQ(retained.back().payload(5), "stays");
}

TEST(Redis, I5_ASecondGatewayIsRefusedWhileTheFirstServes) {
  RedisServer redis;
  GatewayProcess first(flags_for(redis, {"--single-process"}));
  setenv("BERTH_STORE_REDIS_LEASE_MS", "1000", 1);
  Process second(
      {berth_binary(), "serve", "--single-process", "--anonymous", "--store", redis.url(), "--mqtt",
       "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", first.directory() + "/other"},
      first.directory() + "/log.second");
  unsetenv("BERTH_STORE_REDIS_LEASE_MS");
  EXPECT_EQ(second.wait(), 69) << second.log();
  EXPECT_NE(second.log().find("another gateway"), std::string::npos) << second.log();
}

TEST(Redis, I5_AGatewayThatLostTheStoreEndsAndSaysSo) {
  RedisServer redis;
  GatewayProcess g(flags_for(redis, {"--single-process"}));
  redis.call({"SET", "berth:lease", "somebody else"});
  EXPECT_EQ(g.process().wait(), 69) << g.log();
}

}  // namespace
}  // namespace berth::test
