// What no death, move or replacement of an engine may show to a device.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/support/acting.h"
#include "tests/support/cluster.h"
#include "tests/support/listeners.h"
#include "tests/support/swarm.h"

namespace berth::test {

inline void expect_unnoticed(const SwarmReport& r) {
  std::printf("published=%llu doubled=%llu gap_max_ms=%.0f\n",
              static_cast<unsigned long long>(r.published),
              static_cast<unsigned long long>(r.doubled), r.gap_max_ms);
  EXPECT_EQ(r.closed, 0u) << r.first_problem;
  EXPECT_EQ(r.lost, 0u) << r.first_problem;
  EXPECT_EQ(r.resent_live, 0u) << r.first_problem;
  EXPECT_EQ(r.out_of_order, 0u) << r.first_problem;
  EXPECT_EQ(r.second_connacks, 0u);
  EXPECT_EQ(r.qos2_doubled, 0u) << r.first_problem;
  EXPECT_EQ(r.qos0_doubled, 0u) << r.first_problem;
  EXPECT_EQ(r.window_exceeded, 0u);
  EXPECT_GT(r.published, 100u);
}

// A swarm for `time`, `act` every `period`, and nothing may be noticed. `clean`: a planned move,
// which doubles nothing either.
inline void run_with(Cluster& c, std::chrono::seconds time, std::chrono::milliseconds period,
                     const std::function<void()>& act, bool clean = true, Via via = Via::tcp) {
  std::vector<int> ports;
  for (const auto& e : c.edges) ports.push_back(Listeners::port(*e, via));
  Swarm swarm({.ports = ports, .via = via, .devices = 300, .publish_per_s = 1500});
  ASSERT_TRUE(swarm.connect_all());
  run_acting(swarm, time, period, [&act] {
    act();
    return true;
  });
  EXPECT_TRUE(swarm.settle());
  const SwarmReport r = swarm.report();
  expect_unnoticed(r);
  if (clean) {
    EXPECT_EQ(r.doubled, 0u);
  }
}

}  // namespace berth::test
