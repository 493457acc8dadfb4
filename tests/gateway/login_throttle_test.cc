#include "gateway/engine/login_throttle.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>

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
  t.succeeded(address(1), "gate", kStart);
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
  t.succeeded(address(1), "camera", kStart);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(t.may_try(address(1), "broken", kStart));  // its neighbour
    t.failed(address(1), "broken", kStart);
    EXPECT_TRUE(t.may_try(address(9), "camera", kStart));  // a guesser elsewhere
    t.failed(address(9), "camera", kStart);
  }
  EXPECT_TRUE(t.may_try(address(1), "camera", kStart));
  EXPECT_FALSE(t.may_try(address(9), "camera", kStart));
  EXPECT_FALSE(t.may_try(address(1), "broken", kStart));
}

// A device whose log-in data has been copied to another one behind the same address, with a typing
// error; and one that is being set up.
TEST(LoginThrottle, WhoHasLoggedInMayErrAndHasABadTwin) {
  LoginThrottle t({.per_address = 20, .per_name = 5, .forgiven_s = 10});
  t.succeeded(address(1), "camera", kStart);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(t.may_try(address(1), "camera", kStart)) << i;
    t.failed(address(1), "camera", kStart);
  }
  ASSERT_TRUE(t.may_try(address(1), "camera", kStart)) << "the right password, after 12 wrong ones";
  t.succeeded(address(1), "camera", kStart);
  for (int s = 1; s < 3600; ++s) {  // the twin tries once a second, for an hour
    ASSERT_TRUE(t.may_try(address(1), "camera", kStart.plus_s(s))) << s;
    t.failed(address(1), "camera", kStart.plus_s(s));
  }
  EXPECT_TRUE(t.may_try(address(1), "camera", kStart.plus_s(3600)));
  EXPECT_TRUE(t.may_try(address(1), "neighbour", kStart.plus_s(3600)));
}

TEST(LoginThrottle, AGuesserBehindTheSameAddressIsSlowedToo) {
  LoginThrottle t({.per_address = 20, .per_name = 5, .forgiven_s = 10});
  t.succeeded(address(1), "camera", kStart);
  int tries = 0;
  for (int s = 0; s < 100; ++s) {
    for (; t.may_try(address(1), "camera", kStart.plus_s(s)); ++tries)
      t.failed(address(1), "camera", kStart.plus_s(s));
  }
  EXPECT_GE(tries, 100 + 190);  // 20 times 5, and two a second
  EXPECT_LE(tries, 100 + 200);
}

TEST(LoginThrottle, WhatWasNotAskedDoesNotCount) {
  LoginThrottle t({.per_address = 0, .per_name = 1, .forgiven_s = 10});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(t.may_try(address(1), "gate", kStart));
    t.not_tried(address(1), "gate");
  }
}

// A table that is full forgets its oldest entries, not the limit.
TEST(LoginThrottle, AFloodOfNamesMakesNoGuessFree) {
  LoginThrottle t({.per_address = 1, .per_name = 1, .forgiven_s = 10});
  for (std::uint32_t i = 0; i < 2 * LoginMemory::kTracked; ++i) {
    t.may_try(base::Address::v4(&i), std::to_string(i), kStart.plus_ms(i));
    t.failed(base::Address::v4(&i), std::to_string(i), kStart.plus_ms(i));
    t.succeeded(base::Address::v4(&i), "good" + std::to_string(i), kStart.plus_ms(i));
  }
  const base::Instant now = kStart.plus_ms(2 * LoginMemory::kTracked);
  EXPECT_TRUE(t.may_try(address(1), "new", now));
  t.failed(address(1), "new", now);
  EXPECT_FALSE(t.may_try(address(2), "new", now)) << "by name";
  EXPECT_FALSE(t.may_try(address(1), "another", now)) << "by address";
}

TEST(LoginThrottle, OutlivesItsEngine) {
  const auto made = std::make_shared<LoginMemory>();
  const LoginThrottle::Options o{.per_address = 20, .per_name = 5, .forgiven_s = 10};
  {
    LoginThrottle first(o, std::make_shared<LoginMemory>(::dup(made->fd())));
    first.succeeded(address(1), "camera", kStart);
    while (first.may_try(address(9), "camera", kStart)) first.failed(address(9), "camera", kStart);
  }
  LoginThrottle second(o, std::make_shared<LoginMemory>(::dup(made->fd())));
  EXPECT_FALSE(second.may_try(address(9), "camera", kStart.plus_s(1)));
  EXPECT_TRUE(second.may_try(address(1), "camera", kStart.plus_s(1)));
  EXPECT_TRUE(second.may_try(address(9), "camera", kStart.plus_s(11)));
}

// An engine of another release shares nothing, and does no harm.
TEST(LoginThrottle, MemoryOfAnotherLayoutIsLeftAlone) {
  const int fd = memfd_create("other", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(fd, 100), 0);
  const auto memory = std::make_shared<LoginMemory>(::dup(fd));
  LoginThrottle t({.per_address = 20, .per_name = 1, .forgiven_s = 10}, memory);
  EXPECT_TRUE(t.may_try(address(1), "gate", kStart));
  EXPECT_FALSE(t.may_try(address(1), "gate", kStart));
  EXPECT_EQ(::lseek(fd, 0, SEEK_END), 100);
  ::close(fd);
}

// The clock of the engine before was wrong: nobody stays out until that time comes.
TEST(LoginThrottle, AClockThatWasAheadKeepsNobodyOut) {
  const auto memory = std::make_shared<LoginMemory>();
  LoginThrottle t({.per_address = 20, .per_name = 1, .forgiven_s = 10}, memory);
  const base::Instant wrong = kStart.plus_s(86'400 * 365);
  EXPECT_TRUE(t.may_try(address(1), "gate", wrong));
  EXPECT_FALSE(t.may_try(address(1), "gate", kStart));
  EXPECT_TRUE(t.may_try(address(1), "gate", kStart.plus_s(11)));
}

TEST(LoginThrottle, NothingIsLimitedWithZeros) {
  LoginThrottle t({.per_address = 0, .per_name = 0, .forgiven_s = 10});
  for (int i = 0; i < 1000; ++i) t.failed(address(1), "gate", kStart);
  EXPECT_TRUE(t.may_try(address(1), "gate", kStart));
}

}  // namespace
}  // namespace berth::gateway::engine
