#include "gateway/edge/address_limits.h"

#include <gtest/gtest.h>

namespace berth::gateway::edge {
namespace {

constexpr std::int64_t kS = 1'000'000'000;

base::Address v4(unsigned last) {
  const std::uint8_t bytes[4] = {192, 0, 2, static_cast<std::uint8_t>(last)};
  return base::Address::v4(bytes);
}
base::Address v6(std::uint8_t network, std::uint8_t host) {
  std::uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
  bytes[7] = network;
  bytes[15] = host;
  return base::Address::v6(bytes);
}

TEST(AddressLimits, ConnectionsOfAnAddress) {
  AddressLimits l({.connections = 2});
  EXPECT_TRUE(l.enter(v4(1), kS));
  EXPECT_TRUE(l.enter(v4(1), kS));
  EXPECT_FALSE(l.enter(v4(1), kS));
  EXPECT_TRUE(l.enter(v4(2), kS));
  l.leave(v4(1));
  EXPECT_TRUE(l.enter(v4(1), kS));
  EXPECT_FALSE(l.enter(v4(1), kS));
}

TEST(AddressLimits, AreChangedForConnectionsToCome) {
  AddressLimits l({.connections = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(l.enter(v4(1), kS));
  l.use({.connections = 1, .per_s = 1});
  EXPECT_FALSE(l.enter(v4(1), kS)) << "those who are in stay and count";
  l.use({.connections = 0, .per_s = 0});
  EXPECT_TRUE(l.enter(v4(1), kS));
}

TEST(AddressLimits, OfIPv6TheNetworkCounts) {
  AddressLimits l({.connections = 1});
  EXPECT_TRUE(l.enter(v6(1, 1), kS));
  EXPECT_FALSE(l.enter(v6(1, 2), kS));
  EXPECT_TRUE(l.enter(v6(2, 1), kS));
}

TEST(AddressLimits, RateWithABucketOfTenSeconds) {
  AddressLimits l({.per_s = 3});
  int in = 0;
  for (int i = 0; i < 100; ++i) in += l.enter(v4(1), kS) ? 1 : 0;
  EXPECT_EQ(in, 30);
  for (int i = 0; i < 100; ++i) l.leave(v4(1));
  in = 0;
  for (int i = 0; i < 100; ++i) in += l.enter(v4(1), kS + 2 * kS) ? 1 : 0;
  EXPECT_EQ(in, 6) << "leaving gives nothing back";
}

TEST(AddressLimits, WhatIsTrackedIsBounded) {
  AddressLimits l({.connections = 1, .per_s = 1});
  for (std::uint32_t i = 0; i < AddressLimits::kTracked + 10; ++i) {
    EXPECT_TRUE(l.enter(base::Address::v4(&i), kS));
  }
  EXPECT_TRUE(l.enter(v4(1), kS)) << "unknown ones are let in";
  for (std::uint32_t i = 0; i < AddressLimits::kTracked; ++i) l.leave(base::Address::v4(&i));
  EXPECT_TRUE(l.enter(v4(1), 20 * kS)) << "the idle ones have been forgotten";
  EXPECT_FALSE(l.enter(v4(1), 20 * kS));
}

}  // namespace
}  // namespace berth::gateway::edge
