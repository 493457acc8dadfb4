// A growing ring, beside std::deque.
#include "session/ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "tests/support/random.h"

namespace berth::session {
namespace {

TEST(Ring, HoldsWhatADequeHolds) {
  test::Random random(1);
  Ring<int> ring;
  std::deque<int> expected;
  for (int i = 0; i < 100'000; ++i) {
    const bool grows = i / 500 % 2 == 0;  // from empty to some hundreds and back
    if (random.below(10) < (grows ? 7u : 3u)) {
      ring.push_back(i);
      expected.push_back(i);
    } else if (!expected.empty() && random.one_in(4)) {
      ring.pop_back();
      expected.pop_back();
    } else if (!expected.empty()) {
      ring.pop_front();
      expected.pop_front();
    } else if (random.one_in(2)) {
      ring.release();
    }
    ASSERT_EQ(ring.size(), expected.size());
    ASSERT_EQ(ring.empty(), expected.empty());
    if (expected.empty()) continue;
    ASSERT_EQ(ring.front(), expected.front());
    ASSERT_EQ(ring.back(), expected.back());
    if (i % 50 != 0) continue;
    for (std::size_t at = 0; at < expected.size(); ++at) ASSERT_EQ(ring[at], expected[at]);
  }
}

TEST(Ring, WhatIsTakenOutIsFreedAtOnce) {
  Ring<std::shared_ptr<int>> ring;
  const auto front = std::make_shared<int>(1);
  const auto back = std::make_shared<int>(2);
  ring.push_back(front);
  ring.push_back(back);
  ring.pop_front();
  EXPECT_EQ(front.use_count(), 1);
  ring.pop_back();
  EXPECT_EQ(back.use_count(), 1);
}

TEST(Ring, OwnsMemoryFromItsFirstElementUntilItIsReleased) {
  Ring<int> ring;
  EXPECT_EQ(ring.capacity(), 0u);
  for (int i = 0; i < 5; ++i) ring.push_back(i);
  EXPECT_EQ(ring.capacity(), 8u) << "doubled";
  for (int i = 0; i < 5; ++i) ring.pop_front();
  EXPECT_EQ(ring.capacity(), 8u);
  ring.release();
  EXPECT_EQ(ring.capacity(), 0u);
  ring.push_back(7);
  EXPECT_EQ(ring.front(), 7);
}

}  // namespace
}  // namespace berth::session
