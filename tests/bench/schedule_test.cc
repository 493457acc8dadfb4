#include "bench/load/schedule.h"

#include <gtest/gtest.h>

namespace berth::bench {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Schedule, HasItsRateWithoutDrift) {
  Schedule s(5, 3, 0);
  EXPECT_EQ(s.due_ns(), 5);
  for (int i = 0; i < 3'000'000; ++i) s.said();
  EXPECT_EQ(s.due_ns(), 5 + 1'000'000 * kSecond);
}

TEST(Schedule, APhaseIsAPartOfAPeriod) {
  EXPECT_EQ(Schedule(0, 10, 0.5).due_ns(), kSecond / 20);
}

// What is due does not move because something before it came late.
TEST(Schedule, AStallMovesNothing) {
  Schedule s(0, 1000, 0);
  EXPECT_EQ(s.behind(kSecond), 1001u);
  for (int i = 0; i < 1000; ++i) s.said();
  EXPECT_EQ(s.due_ns(), kSecond);
  EXPECT_EQ(s.behind(kSecond - 1), 0u);
  EXPECT_EQ(s.behind(kSecond), 1u);
  EXPECT_EQ(s.behind(-1), 0u);
}

}  // namespace
}  // namespace berth::bench
