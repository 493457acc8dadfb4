#include "gateway/cluster/told.h"

#include <gtest/gtest.h>

namespace berth::gateway::cluster {
namespace {

TEST(Told, OnceAMinuteAndAtOnceWhatIsNew) {
  Told told;
  constexpr std::int64_t kStart = 1'000;
  EXPECT_TRUE(told.due("a", "partitions", kStart));
  for (std::int64_t i = 1; i < 1000; ++i)
    EXPECT_FALSE(told.due("a", "partitions", kStart + i * 40'000'000));
  EXPECT_TRUE(told.due("b", "partitions", kStart)) << "another peer";
  EXPECT_TRUE(told.due("a", "version", kStart)) << "another reason";
  EXPECT_FALSE(told.due("a", "version", kStart + Told::kAgain_ns - 1));
  EXPECT_TRUE(told.due("a", "version", kStart + Told::kAgain_ns));
}

TEST(Told, NamesAreBounded) {
  Told told;
  for (std::size_t i = 0; i < 10 * Told::kNames; ++i)
    EXPECT_TRUE(told.due(std::to_string(i), "x", 1));
  EXPECT_FALSE(told.due(std::to_string(10 * Told::kNames - 1), "x", 2)) << "the last is known";
}

}  // namespace
}  // namespace berth::gateway::cluster
