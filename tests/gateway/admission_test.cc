#include "gateway/edge/admission.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/clock.h"

namespace berth::gateway::edge {
namespace {

using base::kMs;
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
      const double done = std::min(waiting, answers / 1000);
      waiting -= done;
      for (due += done; due >= 1; due -= 1) admission.answered();
    }
    return in;
  }
  Admission admission;
  double answers;
  double waiting = 0;
  double due = 0;
  std::int64_t now = kStarted;
};

TEST(Admission, DoublesWhileEnginesAnswer) {
  Storm s(0, 1e9);
  EXPECT_LE(s.run_ms(25), 600u);      // the start's rate, and the bucket
  EXPECT_GE(s.run_ms(100), 2'000u);   // in four quick steps
  EXPECT_GE(s.run_ms(400), 20'000u);  // and then as fast as they come
}

// 15,000 devices and an engine that answers 24,000 a second: little more than it takes in any case.
TEST(Admission, AFleetIsBackNearlyAsFastAsEnginesCan) {
  Storm s(0, 24'000);
  int ms = 0;
  for (std::size_t in = 0; in < 15'000 && ms < 5000; ++ms) in += s.run_ms(1);
  EXPECT_LE(ms, 750);
  EXPECT_LT(s.waiting, 6000.0) << "a quarter of a second's";
}

TEST(Admission, WithoutAnswersItDoublesSlowly) {
  Admission a(0);
  std::size_t in = 0;
  for (std::int64_t now = kStarted; now < kStarted + 90 * kMs; now += kMs)
    while (a.admit(now, 0)) ++in;  // none has said CONNECT yet
  EXPECT_LE(in, 1000u);
  EXPECT_LE(a.rate_per_s(), 8000u);
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

TEST(Admission, ACeilingChangesWhileItRuns) {
  Admission a(0);
  EXPECT_EQ(a.rate_per_s(), static_cast<std::uint32_t>(Admission::kStart));
  a.limit_to(50);
  EXPECT_EQ(a.rate_per_s(), 50u);
  int admitted = 0;
  for (std::int64_t ms = 0; ms < 10'000; ++ms) admitted += a.admit(ms * 1'000'000, 0) ? 1 : 0;
  EXPECT_NEAR(admitted, 500, 10);
}

TEST(Admission, BeginsWithHalfOfWhatWasLearnedAfterACalm) {
  Storm s(0, 20'000);
  s.run_ms(2000);
  s.now += 60'000 * kMs;
  s.waiting = 0;
  s.run_ms(1);
  EXPECT_GE(s.admission.rate_per_s(), 8000u);
  EXPECT_LE(s.admission.rate_per_s(), 14'000u);
  Admission successor(0);
  successor.begin_with(s.admission.learned_per_s());
  EXPECT_GE(successor.rate_per_s(), 8000u);
}

// What was learned does not hold any more: less than a second's worth waits all the same.
TEST(Admission, AnEngineThatHasBecomeSlowIsNotBuried) {
  Storm s(0, 20'000);
  s.run_ms(2000);
  s.now += 60'000 * kMs;
  s.waiting = 0;
  s.answers = 500;
  double most = 0;
  for (int i = 0; i < 3000; ++i) {
    s.run_ms(1);
    most = std::max(most, s.waiting);
  }
  EXPECT_LT(most, 10'000.0);
}

}  // namespace
}  // namespace berth::gateway::edge
