#include "gateway/edge/admission.h"

#include <gtest/gtest.h>

namespace berth::gateway::edge {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kStarted = 5'000'000'000;

// Devices that try all the time, and an engine that answers `answers_per_s` of them.
struct Storm {
  explicit Storm(std::uint32_t ceiling, double answers_per_s)
      : admission(ceiling), answers(answers_per_s) {}
  std::size_t run_ms(int ms) {
    std::size_t in = 0;
    for (int i = 0; i < ms; ++i, now += kMs) {
      while (admission.admit(now, static_cast<std::size_t>(waiting))) {
        ++in;
        waiting += 1;
      }
      waiting = std::max(0.0, waiting - answers / 1000);
    }
    return in;
  }
  Admission admission;
  double answers;
  double waiting = 0;
  std::int64_t now = kStarted;
};

TEST(Admission, BeginsSlowlyAndDoublesWhileEnginesAnswer) {
  Storm s(0, 1e9);
  EXPECT_LE(s.run_ms(100), 300u);     // the start's rate, and the bucket
  EXPECT_GE(s.run_ms(900), 10'000u);  // and then as fast as they come
}

TEST(Admission, StaysNearWhatTheEngineAnswers) {
  Storm s(0, 3000);
  s.run_ms(3000);
  const std::size_t in = s.run_ms(10'000);
  EXPECT_GT(in, 24'000u);
  EXPECT_LT(in, 36'000u);
  EXPECT_LT(s.waiting, 6000.0);  // about a second's worth, never a heap
}

TEST(Admission, AnEngineThatIsAwayIsNotBuried) {
  Storm s(0, 0);
  s.run_ms(10'000);
  EXPECT_LT(s.waiting, 3000.0);
  EXPECT_GE(s.admission.rate_per_s(), static_cast<std::uint32_t>(Admission::kFloor));
  s.answers = 5000;  // it is back
  s.run_ms(2000);
  EXPECT_GT(s.run_ms(1000), 2500u);
}

TEST(Admission, WhatWasNotThereCountsForNothing) {
  Admission a(200);
  int in = 0;
  for (std::int64_t now = kStarted; now < kStarted + 1000 * kMs; now += kMs) {
    while (a.admit(now, 0)) {
      if (in % 2 == 0) a.give_back();  // nobody was waiting
      ++in;
      if (in % 2 == 1) break;
    }
  }
  EXPECT_GE(in, 400) << "two tries for each";
  EXPECT_LE(in, 480);
}

TEST(Admission, NeverAboveItsCeiling) {
  Storm s(200, 1e9);
  s.run_ms(1000);
  EXPECT_LE(s.run_ms(10'000), 2000u);
  EXPECT_EQ(s.admission.rate_per_s(), 200u);
}

TEST(Admission, BeginsSlowlyAgainAfterACalm) {
  Storm s(0, 1e9);
  s.run_ms(2000);
  ASSERT_GT(s.admission.rate_per_s(), 10'000u);
  s.now += 60'000 * kMs;
  s.waiting = 0;
  EXPECT_LE(s.run_ms(100), 300u);
}

}  // namespace
}  // namespace berth::gateway::edge
