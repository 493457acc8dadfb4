// The faults of engine_death_test.cc and cluster_test.cc under devices of the Park protocol: nobody
// notices, nothing acknowledged is lost, reports and commands alike.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/support/acting.h"
#include "tests/support/cluster.h"
#include "tests/support/listeners.h"
#include "tests/support/park_swarm.h"

namespace berth::test {
namespace {

// BERTH_FAULT_SECONDS: of each run.
std::chrono::seconds run_time(int standard_s) {
  const char* v = std::getenv("BERTH_FAULT_SECONDS");
  return std::chrono::seconds(v != nullptr ? std::atoi(v) : standard_s);
}

void expect_unnoticed(const ParkReport& r) {
  std::printf("acked=%llu commanded=%llu doubled=%llu gap_max_ms=%.0f\n",
              static_cast<unsigned long long>(r.acked),
              static_cast<unsigned long long>(r.commanded),
              static_cast<unsigned long long>(r.doubled), r.gap_max_ms);
  EXPECT_EQ(r.closed, 0u) << r.first_problem;
  EXPECT_EQ(r.lost, 0u) << r.first_problem;
  EXPECT_EQ(r.out_of_order, 0u) << r.first_problem;
  EXPECT_EQ(r.resent_live, 0u) << r.first_problem;
  EXPECT_EQ(r.second_welcomes, 0u);
  EXPECT_EQ(r.refused, 0u) << r.first_problem;
  EXPECT_GT(r.acked, 1000u);
  EXPECT_GT(r.commanded, 200u);
}

void run_with(ParkSwarm& swarm, std::chrono::milliseconds time, std::chrono::milliseconds period,
              const std::function<void()>& act) {
  ASSERT_TRUE(swarm.connect_all());
  run_acting(swarm, time, period, [&act] {
    act();
    return true;
  });
  EXPECT_TRUE(swarm.settle());
  expect_unnoticed(swarm.report());
}

TEST(ParkFaults, I1toI4_EnginesKilledAreNotNoticed) {
  const Listeners listeners;
  for (const Via via : {Via::tcp, Via::tls}) {
    std::vector<std::string> flags = listeners.flags();
    flags.insert(flags.end(), {"--anonymous", "--shards", "2"});
    GatewayProcess g(flags);
    ParkSwarm swarm({.park_port = via == Via::tcp ? g.park_port() : g.parks_port(),
                     .mqtt_port = g.mqtt_port(),
                     .via = via,
                     .devices = via == Via::tcp ? 1000 : 300});
    run_with(swarm, run_time(5), std::chrono::seconds(1), [&] { g.signal_engine(SIGKILL); });
    EXPECT_GE(g.metric("berth_engine_deaths_total"), 3);
    EXPECT_EQ(g.metric("berth_quarantined_total"), 0);
  }
}

TEST(ParkFaults, I2_AStoppedEngineIsReplaced) {
  const Listeners listeners;
  std::vector<std::string> flags = listeners.flags();
  flags.emplace_back("--anonymous");
  GatewayProcess g(flags);
  ParkSwarm swarm({.park_port = g.park_port(), .mqtt_port = g.mqtt_port()});
  run_with(swarm, run_time(6), std::chrono::seconds(3), [&] { g.signal_engine(SIGSTOP); });
  EXPECT_GE(g.metric("berth_engine_watchdog_kills_total"), 1);
}

TEST(ParkFaults, I1toI4_EnginesOfAClusterAreKilled) {
  const Listeners listeners;
  Cluster c({.engines = 2,
             .edges = 2,
             .engine_flags = {},
             .edge_flags = listeners.flags(),
             .partitions = 2});
  std::vector<int> ports;
  for (const auto& e : c.edges) ports.push_back(e->park_port());
  ParkSwarm swarm({.mqtt_port = c.edges[0]->mqtt_port(), .park_ports = ports, .devices = 300});
  std::size_t at = 0;
  run_with(swarm, run_time(7), std::chrono::milliseconds(1500), [&] {
    for (auto& e : c.engines) {
      if (!e->process().running()) e->start();
    }
    c.engines[at++ % c.engines.size()]->process().send(SIGKILL);
  });
  EXPECT_GE(c.edge_total("berth_connections_reattached_total"), 300);
}

// An upgrade of the edge on one host: sockets move to another process, between any two bytes.
TEST(ParkFaults, I2_EdgesAreReplacedOnOneHost) {
  const Listeners listeners;
  const std::string path =
      std::filesystem::temp_directory_path() / ("berth-park-" + std::to_string(getpid()) + ".sock");
  setenv("BERTH_CLUSTER_HANDOVER", path.c_str(), 1);
  setenv("BERTH_PARK_LISTEN", "127.0.0.1:0", 1);
  {
    Cluster c({.engines = 2, .edges = 1, .edge_flags = {"--shards", "2"}, .partitions = 2});
    ParkSwarm swarm({.park_port = c.edges[0]->park_port(),
                     .mqtt_port = c.edges[0]->mqtt_port(),
                     .devices = 300});
    int replaced = 0;
    run_with(swarm, run_time(5), std::chrono::milliseconds(1500), [&] {
      c.replace_edge(0);
      EXPECT_NE(c.edges[0]->log().find("took over"), std::string::npos);
      ++replaced;
    });
    EXPECT_GE(replaced, 2);
  }
  unsetenv("BERTH_CLUSTER_HANDOVER");
  unsetenv("BERTH_PARK_LISTEN");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace berth::test
