#include "bench/load/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace berth::bench {
namespace {

using Seen = Sequence::Seen;

TEST(Sequence, InOrderNothingIsMissing) {
  Sequence s;
  for (std::uint32_t i = 0; i < 100; ++i) ASSERT_EQ(s.see(i), Seen::in_order);
  EXPECT_EQ(s.missing(100), 0u);
  EXPECT_EQ(s.missing(103), 3u);
}

TEST(Sequence, AGapIsMissingUntilItComesLate) {
  Sequence s;
  s.see(0);
  EXPECT_EQ(s.see(2), Seen::in_order);
  EXPECT_EQ(s.missing(3), 1u);
  EXPECT_EQ(s.missing(1), 0u);
  EXPECT_EQ(s.see(1), Seen::late);
  EXPECT_EQ(s.missing(3), 0u);
}

TEST(Sequence, WhatCameBeforeIsAgain) {
  Sequence s;
  s.see(0);
  s.see(5);
  EXPECT_EQ(s.see(0), Seen::again);
  EXPECT_EQ(s.see(5), Seen::again);
  EXPECT_EQ(s.see(4), Seen::late);
  EXPECT_EQ(s.see(4), Seen::again);
  EXPECT_EQ(s.missing(6), 3u);
}

TEST(Sequence, AnyOrderIsCountedAsASetWouldBe) {
  std::minstd_rand random(7);
  for (int round = 0; round < 50; ++round) {
    Sequence s;
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 200; ++i) {
      const std::uint32_t n = random() % 100;
      const bool fresh = seen.insert(n).second;
      ASSERT_EQ(s.see(n) != Seen::again, fresh) << n;
    }
    ASSERT_EQ(s.missing(100), 100 - seen.size());
  }
}

TEST(Sequence, TooManyGapsAreGivenUpAndStayLost) {
  Sequence s;
  for (std::uint32_t i = 0; i < 1000; ++i) s.see(2 * i + 1);
  EXPECT_EQ(s.missing(2000), 1000u);
  s.see(0);
  EXPECT_EQ(s.missing(2000), 1000u) << "it was given up";
}

}  // namespace
}  // namespace berth::bench
