#include "gateway/edge/input_budget.h"

#include <gtest/gtest.h>

namespace berth::gateway::edge {
namespace {

constexpr std::size_t kMiB = 1u << 20;

base::ConnId budget_conn(std::uint32_t slot) {
  return {slot, 1};
}
const auto kAll = [](base::ConnId) { return true; };

TEST(InputBudget, AHolderHasAQuarterAndTheOthersTheirs) {
  InputBudget b(64 * kMiB, kMiB);
  const auto greedy = b.enter(1);
  const auto modest = b.enter(2);
  b.add(greedy, 15 * kMiB);
  EXPECT_FALSE(b.full_for(greedy));
  b.add(greedy, kMiB);
  EXPECT_TRUE(b.full_for(greedy));
  EXPECT_FALSE(b.full_for(modest));
  EXPECT_FALSE(b.full_for(InputBudget::kOwn));
  b.take(greedy, kMiB);
  EXPECT_FALSE(b.full_for(greedy));
}

TEST(InputBudget, OneHolderForAllConnectionsOfAKey) {
  InputBudget b(64 * kMiB, kMiB);
  const auto first = b.enter(7);
  EXPECT_EQ(b.enter(7), first);
  EXPECT_NE(b.enter(8), first);
  b.add(first, 5);
  b.take(first, 5);
  b.leave(first);
  b.leave(first);
  EXPECT_EQ(b.enter(9), first) << "its number is free again";
  EXPECT_EQ(b.bytes_of(first), 0u);
}

TEST(InputBudget, PlacesOfOneHolderEndAtAnEighth) {
  InputBudget b(64 * kMiB, kMiB);
  const auto h = b.enter(1);
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_EQ(b.ask(h, kMiB, budget_conn(i)), Place::held);
  EXPECT_EQ(b.ask(h, kMiB, budget_conn(8)), Place::waiting);
  EXPECT_FALSE(b.next(kAll).has_value());
  EXPECT_TRUE(b.contended(h));
  const auto other = b.enter(2);
  EXPECT_EQ(b.ask(other, kMiB, budget_conn(9)), Place::held);
  b.give_back(h, kMiB, Place::held);
  const auto granted = b.next(kAll);
  ASSERT_TRUE(granted.has_value());
  EXPECT_EQ(granted->conn, budget_conn(8));
  EXPECT_EQ(granted->kind, Place::held);
  EXPECT_EQ(b.in_line(), 0u);
}

// However many hold places: who has none gets one, and it is known to be beyond what is reserved.
TEST(InputBudget, OnePacketOfEachHolderIsAlwaysUnderWay) {
  InputBudget b(64 * kMiB, kMiB);
  for (std::uint64_t key = 1; key <= 2; ++key) {
    const auto h = b.enter(key);
    for (std::uint32_t i = 0; i < 8; ++i) EXPECT_EQ(b.ask(h, kMiB, budget_conn(i)), Place::held);
  }
  const auto late = b.enter(3);
  EXPECT_EQ(b.ask(late, 10 * kMiB, budget_conn(50)), Place::extra);
  EXPECT_EQ(b.ask(late, 10 * kMiB, budget_conn(51)), Place::waiting);
  b.add(late, 64 * kMiB);
  EXPECT_EQ(b.ask(b.enter(4), kMiB, budget_conn(52)), Place::waiting) << "there is no room at all";
}

// Who has gone is forgotten, and who can't get a place now holds up nobody.
TEST(InputBudget, TheLineServesByTurnsAndForgetsWhoHasGone) {
  InputBudget b(64 * kMiB, kMiB);
  const auto h = b.enter(1);
  const auto other = b.enter(2);
  EXPECT_EQ(b.ask(h, 8 * kMiB, budget_conn(0)), Place::held);
  for (std::uint32_t i = 1; i <= 3; ++i) EXPECT_EQ(b.ask(h, kMiB, budget_conn(i)), Place::waiting);
  EXPECT_EQ(b.ask(other, 8 * kMiB, budget_conn(10)), Place::held);
  EXPECT_EQ(b.ask(other, kMiB, budget_conn(11)), Place::waiting);
  b.give_back(other, 8 * kMiB, Place::held);
  EXPECT_EQ(b.next(kAll)->conn, budget_conn(11));
  b.give_back(h, 8 * kMiB, Place::held);
  const auto not_first = [](base::ConnId c) { return c != budget_conn(1); };
  EXPECT_EQ(b.next(not_first)->conn, budget_conn(3)) << "by turns the newest";
  EXPECT_EQ(b.next(not_first)->conn, budget_conn(2)) << "and the oldest that is still there";
  EXPECT_FALSE(b.next(not_first).has_value());
  EXPECT_EQ(b.in_line(), 0u);
}

TEST(InputBudget, AHolderThatLeavesWhileItWaitsIsNobodyElse) {
  InputBudget b(8 * kMiB, kMiB);
  const auto h = b.enter(1);
  EXPECT_EQ(b.ask(h, kMiB, budget_conn(0)), Place::held);
  EXPECT_EQ(b.ask(h, kMiB, budget_conn(1)), Place::waiting);
  b.give_back(h, kMiB, Place::held);
  b.leave(h);
  EXPECT_NE(b.enter(2), h) << "the line still knows the number";
  EXPECT_FALSE(b.next([](base::ConnId) { return false; }).has_value());
  EXPECT_EQ(b.enter(3), h);
}

}  // namespace
}  // namespace berth::gateway::edge
