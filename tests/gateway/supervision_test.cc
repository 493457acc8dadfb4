// What the Supervisor judges and waits by: heartbeats, the pace of starts, questions for figures, a
// planned restart.
#include <gtest/gtest.h>

#include <vector>

#include "base/clock.h"
#include "gateway/single/heartbeats.h"
#include "gateway/single/restart.h"
#include "gateway/single/scrapes.h"
#include "gateway/single/start_pace.h"

namespace berth::gateway {
namespace {

using base::kMs;

TEST(Heartbeats, AnEngineIsSilentAfterSoManyMissed) {
  Heartbeats h(100, 6);
  h.heard(1000 * kMs);
  h.wait(1500 * kMs);
  h.look(1600 * kMs);
  EXPECT_FALSE(h.silent(1600 * kMs));
  EXPECT_TRUE(h.silent(1601 * kMs));
  EXPECT_EQ(h.last_ns(), 1000 * kMs);
}

TEST(Heartbeats, AStallOfOurOwnIsNotHeldAgainstTheEngine) {
  Heartbeats h(100, 6);
  h.heard(1000 * kMs);
  h.wait(1100 * kMs);
  h.look(5000 * kMs);  // due at 1200
  EXPECT_FALSE(h.silent(5000 * kMs));
  EXPECT_EQ(h.last_ns(), 4900 * kMs);
}

TEST(StartPace, DeathsInQuickSuccessionAreSpaced) {
  StartPace pace;
  std::vector<long> ms;
  for (int i = 0; i < 10; ++i) ms.push_back(pace.after(StartPace::End::quick).count());
  EXPECT_EQ(ms, (std::vector<long>{0, 0, 0, 50, 100, 200, 400, 800, 1000, 1000}));
  EXPECT_EQ(pace.after(StartPace::End::ordinary).count(), 0);
  EXPECT_EQ(pace.after(StartPace::End::quick).count(), 0) << "it begins anew";
}

TEST(StartPace, AnEngineThatLacksSomethingWaitsLonger) {
  StartPace pace;
  std::vector<long> ms;
  for (int i = 0; i < 5; ++i) ms.push_back(pace.after(StartPace::End::lacking).count());
  EXPECT_EQ(ms, (std::vector<long>{1000, 2000, 4000, 8000, 8000}));
  EXPECT_EQ(pace.after(StartPace::End::quick).count(), 0);
  EXPECT_EQ(pace.after(StartPace::End::lacking).count(), 1000);
}

TEST(Scrapes, WhoeverAsksMeanwhileGetsTheSameAnswer) {
  Scrapes scrapes;
  std::vector<std::string> heard;
  const auto hear = [&heard](const Scrapes::Payload& p) { heard.push_back(p ? *p : "none"); };
  const auto first = scrapes.add(hear);
  ASSERT_TRUE(first);
  EXPECT_FALSE(scrapes.add(hear));
  scrapes.answer(*first, std::make_shared<const std::string>("figures"));
  EXPECT_EQ(heard, (std::vector<std::string>{"figures", "figures"}));
  const auto second = scrapes.add(hear);
  ASSERT_TRUE(second);
  scrapes.answer(*first, nullptr);  // its time-out comes now
  EXPECT_EQ(heard.size(), 2u);
  scrapes.answer(*second, nullptr);
  EXPECT_EQ(heard.back(), "none");
}

TEST(Restart, ItsEndIsToldOnce) {
  Restart restart({});
  restart.end(true);
  std::vector<bool> told;
  restart.begin([&told](bool ok) { told.push_back(ok); });
  EXPECT_TRUE(restart.under_way());
  restart.lacks("a file");
  restart.end(false);
  restart.end(true);
  EXPECT_EQ(told, std::vector<bool>{false});
  EXPECT_EQ(restart.why_not(), "a file");
}

TEST(Restart, OneThatFailsTakesItsSettingsBack) {
  const Restart::Settings old{{"BERTH_SESSION_MAX_SESSIONS", "1"}};
  const Restart::Settings fresh{{"BERTH_SESSION_MAX_SESSIONS", "2"}};
  Restart restart(old);
  restart.try_with(fresh);
  EXPECT_EQ(restart.settings(), fresh);
  restart.end(false);
  EXPECT_EQ(restart.settings(), old);
  restart.try_with(fresh);
  restart.end(true);
  restart.take_back();
  EXPECT_EQ(restart.settings(), fresh) << "an engine that serves has proven them";
}

}  // namespace
}  // namespace berth::gateway
