// What no death, move or replacement of an engine may show to a device.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>

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

}  // namespace berth::test
