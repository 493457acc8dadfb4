// Real processes, real sockets: engines killed, stopped, replaced; the gateway killed. What devices
// see is checked by the devices (tests/support/swarm.h).
//   BERTH_FAULT_SECONDS   length of each run (default 6)
//   BERTH_FAULT_DEVICES   connections (default 1000)
//   BERTH_FAULT_KILLS     kills of the whole gateway (default 12)
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/support/acting.h"
#include "tests/support/expect_unnoticed.h"
#include "tests/support/gateway_process.h"
#include "tests/support/listeners.h"
#include "tests/support/swarm.h"

namespace berth::test {
namespace {

int setting(const char* name, int standard) {
  const char* v = std::getenv(name);
  return v != nullptr ? std::atoi(v) : standard;
}
std::chrono::milliseconds run_time() {
  return std::chrono::seconds(setting("BERTH_FAULT_SECONDS", 6));
}

void print(const char* name, const SwarmReport& r) {
  std::printf(
      "%s: published=%llu received=%llu doubled=%llu lost=%llu resent_live=%llu closed=%llu "
      "gap_max_ms=%.0f\n",
      name, static_cast<unsigned long long>(r.published),
      static_cast<unsigned long long>(r.received), static_cast<unsigned long long>(r.doubled),
      static_cast<unsigned long long>(r.lost), static_cast<unsigned long long>(r.resent_live),
      static_cast<unsigned long long>(r.closed), r.gap_max_ms);
}

// Signals the serving engine every `period`.
void run_signalling(GatewayProcess& g, Swarm& swarm, std::chrono::milliseconds time,
                    std::chrono::milliseconds period, int number) {
  run_acting(swarm, time, period, [&g, number] { return send_signal(g.engine_pid(), number); });
}

// I1 to I4 on live connections.

TEST(EngineDeath, I1toI4_SigkillEverySecondIsNotNoticed) {
  GatewayProcess g({"--anonymous"});
  Swarm swarm({.port = g.mqtt_port(), .devices = setting("BERTH_FAULT_DEVICES", 1000)});
  ASSERT_TRUE(swarm.connect_all());
  run_signalling(g, swarm, run_time(), std::chrono::seconds(1), SIGKILL);
  EXPECT_TRUE(swarm.settle());
  const SwarmReport r = swarm.report();
  print("sigkill", r);
  std::printf("last gap, death to serving again: %.0f ms\n",
              1000 * g.metric("berth_engine_last_gap_seconds"));
  expect_unnoticed(r);
  EXPECT_GE(g.metric("berth_engine_deaths_total"), 3);
  EXPECT_EQ(g.metric("berth_quarantined_total"), 0) << "a kill from outside is no proof of poison";
}

// The same over every other transport: what they keep is the edge's, and engines die without it.
TEST(EngineDeath, I1toI4_SigkillIsNotNoticedOverTlsAndWebSocket) {
  const Listeners listeners;
  for (const Via via : {Via::tls, Via::ws, Via::wss}) {
    std::vector<std::string> flags = listeners.flags();
    flags.emplace_back("--anonymous");
    GatewayProcess g(flags);
    Swarm swarm({.port = Listeners::port(g, via), .via = via, .devices = 300});
    ASSERT_TRUE(swarm.connect_all());
    run_signalling(g, swarm, std::chrono::seconds(4), std::chrono::seconds(1), SIGKILL);
    EXPECT_TRUE(swarm.settle());
    expect_unnoticed(swarm.report());
    EXPECT_GE(g.metric("berth_engine_deaths_total"), 2);
  }
}

TEST(EngineDeath, I1toI4_SigstopIsEndedByTheSupervisor) {
  GatewayProcess g({"--anonymous"});
  Swarm swarm({.port = g.mqtt_port(), .devices = setting("BERTH_FAULT_DEVICES", 1000)});
  ASSERT_TRUE(swarm.connect_all());
  run_signalling(g, swarm, run_time() + std::chrono::seconds(4), std::chrono::seconds(4), SIGSTOP);
  EXPECT_TRUE(swarm.settle());
  const SwarmReport r = swarm.report();
  print("sigstop", r);
  expect_unnoticed(r);
  EXPECT_GE(g.metric("berth_engine_watchdog_kills_total"), 1);
}

TEST(EngineDeath, PlannedReplacementIsNotNoticedAndLosesNothing) {
  GatewayProcess g({"--anonymous"});
  Swarm swarm({.port = g.mqtt_port(), .devices = 300});
  ASSERT_TRUE(swarm.connect_all());
  int replaced = 0;
  run_acting(swarm, run_time(), std::chrono::seconds(2), [&] {
    if (g.engine_pid() <= 0) return false;
    const std::string answer = g.post("/api/v1/engine/restart");
    replaced += answer.find("replaced") != std::string::npos;
    return true;
  });
  EXPECT_TRUE(swarm.settle());
  const SwarmReport r = swarm.report();
  print("replace", r);
  expect_unnoticed(r);
  EXPECT_EQ(r.doubled, 0u) << "a planned stop doubles nothing";
  EXPECT_GE(replaced, 1);
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 0);
}

TEST(GatewayDeath, I1_KilledAtRandomNothingAcknowledgedIsLost) {
  for (const char* shape : {"", "--single-process"}) {
    std::vector<std::string> flags{"--anonymous"};
    if (*shape != 0) flags.emplace_back(shape);
    GatewayProcess g(flags);
    Swarm swarm({.port = g.mqtt_port(), .devices = 60, .publish_per_s = 3000, .reconnect = true});
    ASSERT_TRUE(swarm.connect_all());
    std::mt19937 random(7);
    const int kills = setting("BERTH_FAULT_KILLS", 12);
    for (int i = 0; i < kills; ++i) {
      swarm.run(std::chrono::milliseconds(50 + random() % 300));
      g.kill9();
      g.start();
    }
    swarm.run(std::chrono::milliseconds(300));
    EXPECT_TRUE(swarm.settle());
    const SwarmReport r = swarm.report();
    print(*shape != 0 ? "kill-9 single" : "kill-9 supervised", r);
    EXPECT_EQ(r.lost, 0u) << r.first_problem;
    EXPECT_EQ(r.qos2_doubled, 0u) << r.first_problem;
    EXPECT_EQ(r.session_absent, 0u) << r.first_problem;
    EXPECT_GT(r.published, 100u);
  }
}

}  // namespace
}  // namespace berth::test
