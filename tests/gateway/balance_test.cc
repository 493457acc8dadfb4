// When an engine gives a partition away (gateway/cluster/balance.h).
#include "gateway/cluster/balance.h"

#include <gtest/gtest.h>

namespace berth::gateway::cluster {
namespace {

constexpr std::uint64_t kSelf = 1, kOther = 2, kThird = 3;
constexpr std::int64_t kWait_ms = 5000;

class BalanceTest : public ::testing::Test {
 protected:
  using Shares = std::vector<InnerEdge::Share>;
  bool due_after(std::int64_t ms, const Shares& shares) {
    now_ms_ += ms;
    balance_.is(shares, now_ms_ * 1'000'000);
    return balance_.due(now_ms_ * 1'000'000);
  }
  // Partition 0 goes, and is back at once.
  void give_and_get_back() {
    balance_.gives(0, now_ms_ * 1'000'000);
    due_after(300, {{kSelf, 1}, {kOther, 1}});
    balance_.serves(0);
  }
  const Shares all_here_{{kSelf, 2}, {kOther, 0}};
  std::int64_t now_ms_ = 1'000'000;
  Balance balance_{kSelf, kWait_ms, 2};
};

TEST_F(BalanceTest, IsDueWhenNothingHasMovedForAWhile) {
  EXPECT_FALSE(due_after(0, all_here_));
  EXPECT_FALSE(due_after(kWait_ms - 1, all_here_));
  EXPECT_TRUE(due_after(1, all_here_));
}

TEST_F(BalanceTest, IsNotDueWhileAnOperatorHoldsThePartitions) {
  due_after(0, all_here_);
  balance_.hold((now_ms_ + 3 * kWait_ms) * 1'000'000);
  EXPECT_FALSE(due_after(3 * kWait_ms - 1, all_here_));
  EXPECT_TRUE(due_after(1, all_here_)) << "nothing has moved meanwhile";
  balance_.hold((now_ms_ + kWait_ms) * 1'000'000);
  EXPECT_FALSE(balance_.due(now_ms_ * 1'000'000));
  balance_.hold(0);
  EXPECT_TRUE(balance_.due(now_ms_ * 1'000'000));
}

TEST_F(BalanceTest, OneThatComesBackWhileAllEnginesLiveWaitsLongerEachTime) {
  due_after(0, all_here_);
  ASSERT_TRUE(due_after(kWait_ms, all_here_));
  for (std::int64_t patience = 2; patience <= 8; patience *= 2) {
    give_and_get_back();
    due_after(100, all_here_);
    EXPECT_FALSE(due_after(kWait_ms * patience - 1, all_here_)) << patience;
    EXPECT_TRUE(due_after(1, all_here_)) << patience;
  }
}

TEST_F(BalanceTest, NeverLongerThanItsLongest) {
  due_after(0, all_here_);
  for (int i = 0; i < 20; ++i) {
    give_and_get_back();
    due_after(100, all_here_);
    due_after(kWait_ms * 2 * Balance::kLongest, all_here_);
  }
  EXPECT_EQ(balance_.patience(), Balance::kLongest);
}

TEST_F(BalanceTest, AnEngineThatHasEndedCostsNoPatience) {
  due_after(0, all_here_);
  give_and_get_back();
  const Shares another{{kSelf, 2}, {kThird, 0}};
  due_after(100, another);
  EXPECT_TRUE(due_after(kWait_ms, another));
  EXPECT_EQ(balance_.patience(), 1u);
}

TEST_F(BalanceTest, AnEngineThatWasOutOfReachForAMomentHasNotEnded) {
  due_after(0, all_here_);
  give_and_get_back();
  due_after(100, {{kSelf, 2}});
  due_after(100, all_here_);
  EXPECT_FALSE(due_after(kWait_ms, all_here_));
  EXPECT_EQ(balance_.patience(), 2u);
}

TEST_F(BalanceTest, OneThatStaysAwayEndsThePatience) {
  due_after(0, all_here_);
  give_and_get_back();
  due_after(100, all_here_);
  due_after(kWait_ms, all_here_);
  ASSERT_EQ(balance_.patience(), 2u);
  balance_.gives(1, now_ms_ * 1'000'000);
  due_after(100, {{kSelf, 1}, {kOther, 1}});
  due_after(kWait_ms * 4, {{kSelf, 1}, {kOther, 1}});
  EXPECT_EQ(balance_.patience(), 1u);
}

}  // namespace
}  // namespace berth::gateway::cluster
