#include "gateway/engine/login_throttle.h"

#include <gtest/gtest.h>

namespace berth::gateway::engine {
namespace {

base::Address address(std::uint8_t last) {
  const std::uint8_t bytes[4] = {192, 0, 2, last};
  return base::Address::v4(bytes);
}
constexpr base::Instant kStart{1'700'000'000'000};

TEST(LoginThrottle, AGuesserIsSlowedToOneTryPerTimeOfForgiving) {
  LoginThrottle t({.per_address = 20, .per_name = 5, .forgiven_s = 10});
  int tries = 0;
  for (int s = 0; s < 300; ++s) {
    while (t.may_try(address(1), "gate", kStart.plus_s(s))) {
      ++tries;
      t.failed(address(1), "gate", kStart.plus_s(s));
    }
  }
  EXPECT_GE(tries, 5 + 28);
  EXPECT_LE(tries, 5 + 31);
}

TEST(LoginThrottle, TriesAtTheSameTimeAreTries) {
  LoginThrottle t({.per_address = 0, .per_name = 5, .forgiven_s = 10});
  int tries = 0;
  while (t.may_try(address(1), "gate", kStart)) ++tries;
  EXPECT_EQ(tries, 5);
  t.succeeded(address(1), "gate");
  EXPECT_TRUE(t.may_try(address(2), "gate", kStart)) << "one was no guess";
}

TEST(LoginThrottle, ASiteComesBackTogether) {
  LoginThrottle t({.per_address = 20, .per_name = 5, .forgiven_s = 10});
  for (int i = 0; i < 500; ++i)
    EXPECT_TRUE(t.may_try(address(1), "device" + std::to_string(i), kStart)) << i;
}

TEST(LoginThrottle, OtherNamesOfTheAddressHaveItsBucket) {
  LoginThrottle t({.per_address = 8, .per_name = 5, .forgiven_s = 10});
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(t.may_try(address(1), "user" + std::to_string(i), kStart));
    t.failed(address(1), "user" + std::to_string(i), kStart);
  }
  EXPECT_FALSE(t.may_try(address(1), "another", kStart));
  EXPECT_TRUE(t.may_try(address(2), "another", kStart));
  EXPECT_TRUE(t.may_try(address(1), "another", kStart.plus_s(11)));
}

TEST(LoginThrottle, WhoHasLoggedInFromThereIsLetThrough) {
  LoginThrottle t({.per_address = 3, .per_name = 3, .forgiven_s = 10});
  t.succeeded(address(1), "camera");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(t.may_try(address(1), "broken", kStart));  // its neighbour
    t.failed(address(1), "broken", kStart);
    EXPECT_TRUE(t.may_try(address(9), "camera", kStart));  // a guesser elsewhere
    t.failed(address(9), "camera", kStart);
  }
  EXPECT_TRUE(t.may_try(address(1), "camera", kStart));
  EXPECT_FALSE(t.may_try(address(9), "camera", kStart));
  EXPECT_FALSE(t.may_try(address(1), "broken", kStart));
  t.failed(address(1), "camera", kStart);  // its own password is wrong now: no way around
  EXPECT_FALSE(t.may_try(address(1), "camera", kStart));
}

TEST(LoginThrottle, WhatIsTrackedIsBounded) {
  LoginThrottle t({.per_address = 1, .per_name = 1, .forgiven_s = 10});
  for (std::uint32_t i = 0; i < LoginThrottle::kTracked + 1000; ++i) {
    t.may_try(base::Address::v4(&i), std::to_string(i), kStart);
    t.failed(base::Address::v4(&i), std::to_string(i), kStart);
    t.succeeded(base::Address::v4(&i), "good" + std::to_string(i));
  }
  EXPECT_TRUE(t.may_try(address(1), "new", kStart));
  EXPECT_TRUE(t.may_try(address(1), "new", kStart.plus_s(60)));  // all others are forgiven
  t.failed(address(1), "new", kStart.plus_s(60));
  EXPECT_FALSE(t.may_try(address(1), "new", kStart.plus_s(60)));
}

TEST(LoginThrottle, NothingIsLimitedWithZeros) {
  LoginThrottle t({.per_address = 0, .per_name = 0, .forgiven_s = 10});
  for (int i = 0; i < 1000; ++i) t.failed(address(1), "gate", kStart);
  EXPECT_TRUE(t.may_try(address(1), "gate", kStart));
}

}  // namespace
}  // namespace berth::gateway::engine
