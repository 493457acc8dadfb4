#include "gateway/edge/before_login.h"

#include <gtest/gtest.h>

namespace berth::gateway::edge {
namespace {

base::Address address(unsigned last) {
  const std::uint8_t bytes[4] = {192, 0, static_cast<std::uint8_t>(last >> 8),
                                 static_cast<std::uint8_t>(last)};
  return base::Address::v4(bytes);
}

TEST(BeforeLogin, TheOldestSilentOfAnAddressGoes) {
  BeforeLogin b({.bytes = 1 << 20, .connections_per_address = 3});
  for (std::uint32_t slot = 0; slot < 3; ++slot) b.enter(slot, address(1), 100, true, 10);
  EXPECT_EQ(b.too_many(2, 20), BeforeLogin::kNobody);
  b.spoke(0);
  b.enter(3, address(1), 100, true, 10);
  EXPECT_EQ(b.too_many(3, 20), BeforeLogin::kNobody) << "who has said CONNECT does not count";
  b.enter(4, address(1), 100, true, 10);
  EXPECT_EQ(b.too_many(4, 20), 1u);
  b.leave(1);
  EXPECT_EQ(b.too_many(4, 20), BeforeLogin::kNobody);
  b.enter(5, address(2), 100, true, 10);
  EXPECT_EQ(b.too_many(5, 20), BeforeLogin::kNobody) << "another address";
}

TEST(BeforeLogin, AnAddressHasAQuarterOfTheBytes) {
  BeforeLogin b({.bytes = 4000, .connections_per_address = 0});
  b.enter(0, address(1), 400, true, 10);
  b.enter(1, address(1), 400, true, 10);
  EXPECT_EQ(b.too_many(1, 20), BeforeLogin::kNobody);
  b.add(1, 300);
  EXPECT_EQ(b.too_many(1, 20), 0u) << "the oldest, not who sends";
  EXPECT_EQ(b.leave(0), 400u);
  EXPECT_EQ(b.too_many(1, 20), BeforeLogin::kNobody);
  b.take(1, 300);
  EXPECT_EQ(b.bytes(), 400u);
}

// All come back in the same moment: those who came first get on, they must not push one another
// out.
TEST(BeforeLogin, WhereAllAreYoungTheNewestGoes) {
  BeforeLogin b({.bytes = 1 << 20, .connections_per_address = 2});
  b.enter(0, address(1), 100, true, 10);
  b.enter(1, address(1), 100, true, 10);
  b.enter(2, address(1), 100, true, 11);
  EXPECT_EQ(b.too_many(2, 11), 2u);
  EXPECT_EQ(b.too_many(2, 12), 0u) << "it has had its time";
}

TEST(BeforeLogin, WhoWaitsForUsGoesLast) {
  BeforeLogin b({.bytes = 4000, .connections_per_address = 0});
  b.enter(0, address(1), 400, true, 10);
  b.spoke(0);
  b.enter(1, address(1), 400, true, 10);
  b.enter(2, address(1), 400, true, 10);
  EXPECT_EQ(b.too_many(2, 20), 1u);
  b.leave(1);
  b.add(2, 300);
  EXPECT_EQ(b.too_many(2, 20), 2u);
  b.leave(2);
  b.add(0, 700);
  EXPECT_EQ(b.too_many(0, 20), 0u);
}

TEST(BeforeLogin, InAllWhoHoldsMostGivesWay) {
  BeforeLogin b({.bytes = 100'000, .connections_per_address = 0});
  std::uint32_t slot = 0;
  for (; slot < 99; ++slot) b.enter(slot, address(slot), 1000, true, 10);
  b.enter(slot, address(5), 1000, true, 10);
  b.enter(++slot, address(200), 1000, true, 10);
  EXPECT_EQ(b.too_many(slot, 20), 5u) << "the older one of the address with two";
  b.leave(5);
  b.enter(++slot, address(201), 1000, true, 10);
  EXPECT_EQ(b.too_many(slot, 20), slot) << "all have as much: the newcomer";
}

// A load balancer's connections are of many devices until their PROXY headers have come.
TEST(BeforeLogin, ABalancersCountOnlyInAll) {
  BeforeLogin b({.bytes = 8000, .connections_per_address = 2});
  for (std::uint32_t slot = 0; slot < 7; ++slot) b.enter(slot, address(1), 1000, false, 10);
  EXPECT_EQ(b.too_many(6, 20), BeforeLogin::kNobody);
  b.enter(7, address(1), 1001, false, 10);
  EXPECT_EQ(b.too_many(7, 20), 0u);
}

TEST(BeforeLogin, ClosedOnesKeepTheirBytesAndAreNotChosen) {
  BeforeLogin b({.bytes = 4000, .connections_per_address = 0});
  b.enter(0, address(1), 900, true, 10);
  b.ended(0);
  b.enter(1, address(1), 900, true, 10);
  EXPECT_EQ(b.too_many(1, 20), 1u);
  b.leave(1);
  EXPECT_EQ(b.bytes(), 900u);
  b.leave(0);
  EXPECT_EQ(b.bytes(), 0u);
  EXPECT_EQ(b.connections(), 0u);
}

}  // namespace
}  // namespace berth::gateway::edge
