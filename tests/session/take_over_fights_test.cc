// Sessions that are fought over.
#include "session/take_over_fights.h"

#include <gtest/gtest.h>

namespace berth::session {
namespace {

TEST(TakeOverFights, TheFifthWithinAMinuteOfOneAnotherIsOne) {
  TakeOverFights f;
  int fights = 0;
  for (int i = 0; i < 10; ++i) fights += f.taken(7, {i * 30'000}) ? 1 : 0;
  EXPECT_EQ(fights, 2);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(f.taken(8, {i * 61'000})) << "a bad network";
  for (std::uint64_t s = 0; s < 2000; ++s) EXPECT_FALSE(f.taken(s + 100, {1})) << "a whole fleet";
}

}  // namespace
}  // namespace berth::session
