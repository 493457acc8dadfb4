#include "gateway/node/descriptors.h"

#include <gtest/gtest.h>

namespace berth::gateway {
namespace {

TEST(Descriptors, WhatIsReservedAndTheDevicesAreTheLimit) {
  for (const std::uint64_t limit : {256u, 1024u, 4096u, 1'048'576u}) {
    const DescriptorShare s = share_descriptors(limit, 1, false);
    EXPECT_EQ(s.reserved + s.devices, limit);
    EXPECT_GE(s.reserved, 112u);
    EXPECT_LE(s.reserved, 112u + 1024u);
    EXPECT_LE(s.lingering_max, s.reserved / 2);
  }
}

// It warns of what somebody has asked for, or of few.
TEST(Descriptors, ADefaultThatDoesNotFitIsNoWarningWhereThereIsRoomForMany) {
  Config c;
  EXPECT_FALSE(short_of_descriptors(c, 18'000));
  EXPECT_TRUE(short_of_descriptors(c, 800));
  c.edge.max_connections = 50'000;
  EXPECT_TRUE(short_of_descriptors(c, 18'000));
}

TEST(Descriptors, BelowTheLeastNobodyIsServed) {
  for (const std::uint32_t shards : {1u, 2u, 16u}) {
    const std::uint64_t least = share_descriptors(0, shards, true).least;
    EXPECT_EQ(share_descriptors(least - 1, shards, true).devices, 0u);
    EXPECT_GE(share_descriptors(least, shards, true).devices, 16u);
  }
  EXPECT_EQ(share_descriptors(110, 1, false).devices, 0u);
}

}  // namespace
}  // namespace berth::gateway
