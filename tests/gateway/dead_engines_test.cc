// Which deaths of engines an edge of a cluster counts.
#include "gateway/cluster/dead_engines.h"

#include <gtest/gtest.h>

namespace berth::gateway::cluster {
namespace {

TEST(DeadEngines, ADeathCountsOnceForAllShardsAndPartitions) {
  DeadEngines dead;
  EXPECT_TRUE(dead.note(7));
  EXPECT_FALSE(dead.note(7));
  EXPECT_TRUE(dead.note(8));
  for (std::uint64_t p = 100; p < 100 + DeadEngines::kKept; ++p) EXPECT_TRUE(dead.note(p));
  EXPECT_TRUE(dead.note(7)) << "the oldest are forgotten";
}

}  // namespace
}  // namespace berth::gateway::cluster
