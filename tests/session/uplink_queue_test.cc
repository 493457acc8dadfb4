// What stays in an uplink's queue when the platform has it or refuses it: replays, dead letters,
// and numbers that are never used again.
#include "session/uplink_queue.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/uplink_place.h"

namespace berth::test {
namespace {

// By its number a platform knows a copy: another message must not have it.
TEST(UplinkQueue, NumbersAreNotUsedAgainWhenTheQueueWasEmptyAtADeath) {
  Place p;
  const int c = p.w.open_connected({.client_id = "c"});
  p.say(c, {"1", "2"});
  p.w.advance_s(1);
  ASSERT_EQ(p.state().queued, 0u);
  p.w.crash();
  p.say(c, {"3"});
  p.w.advance_s(1);
  EXPECT_EQ(p.up.all, (Payloads{"1", "2", "3"}));
  EXPECT_EQ(std::set<std::uint64_t>(p.up.ids.begin(), p.up.ids.end()).size(), 3u);
}

UplinkPlan keeping(std::int64_t hours = 24, std::uint64_t bytes = 1 << 20) {
  return {.name = "up", .filters = {"t"}, .keep_ms = hours * 3'600'000, .keep_bytes = bytes};
}

TEST(UplinkQueue, WhatWasSentIsSentAgainWhenItIsAskedFor) {
  for (const bool death : {false, true}) {
    Place p(-1, keeping());
    const int c = p.w.open_connected({.client_id = "c"});
    p.w.advance_s(1);
    p.say(c, {"old"});
    p.w.advance_s(120);
    const std::int64_t from = p.w.now().ms + 1;
    p.w.advance_s(120);
    p.say(c, {"1", "2", "3"});
    p.w.advance_s(120);
    const std::int64_t to = p.w.now().ms;
    p.w.advance_s(120);
    p.say(c, {"new"});
    p.w.advance_s(120);
    EXPECT_EQ(p.state().kept, 5u);
    EXPECT_EQ(p.state().queued, 0u) << "nothing waits";
    p.slow = true;
    EXPECT_EQ(p.queue().replay(from, to), 3u);
    EXPECT_TRUE(p.queue().replays());
    p.w.run();
    p.say(c, {"live"});
    if (death) {
      p.up.replayed.clear();
      p.w.crash();
      EXPECT_EQ(p.state().replay_left, 3u) << "the next engine goes on with it";
    }
    p.slow = false;
    p.w.advance_s(2);
    EXPECT_EQ(p.up.replayed, (Payloads{"1", "2", "3"}));
    EXPECT_EQ(p.up.firsts().back(), "live") << "what is new does not wait for it";
    EXPECT_FALSE(p.queue().replays());
    EXPECT_EQ(p.state().queued, 0u);
    EXPECT_EQ(p.queue().replay(p.w.now().ms + 1000, p.w.now().ms + 2000), 0u) << "of the future";
  }
}

TEST(UplinkQueue, WhatCameBeforeTheFirstTickIsReplayedAfterADeath) {
  Place p(-1, keeping());
  const int c = p.w.open_connected({.client_id = "c"});
  p.say(c, {"1", "2"});
  p.w.advance_s(0);
  p.w.crash();
  p.w.advance_s(1);
  p.up.replayed.clear();
  EXPECT_EQ(p.queue().replay(p.w.now().ms - 60'000, p.w.now().ms + 1000), 2u);
  p.w.advance_s(1);
  EXPECT_EQ(p.up.replayed, (Payloads{"1", "2"}));
  EXPECT_LT(p.state().kept_bytes, 100u);
}

TEST(UplinkQueue, WhatIsKeptWaitsForNothingAfterADeath) {
  Place p(-1, keeping());
  const int c = p.w.open_connected({.client_id = "c"});
  p.say(c, {"1", "2"});
  p.w.advance_s(1);
  p.ready = false;
  p.w.crash();
  p.say(c, {"3"});
  EXPECT_EQ(p.state().queued, 1u);
  EXPECT_EQ(p.state().kept, 2u);
  EXPECT_GT(p.state().queued_bytes, 0u);
  EXPECT_LT(p.state().queued_bytes, 100u) << "of one message";
  p.w.broker().uplinks().use(0, true);
  p.w.advance_s(1);
  EXPECT_EQ(p.up.all, (Payloads{"1", "2", "3"})) << "each once";
}

TEST(UplinkQueue, WhatIsKeptGoesWithItsTimeAndItsBytes) {
  Place p(-1, keeping(1, 4000));
  const int c = p.w.open_connected({.client_id = "c"});
  p.w.advance_s(61);
  for (int i = 0; i < 4; ++i) {
    p.say(c, {std::string(1000, 'x')});
    p.w.advance_s(61);
  }
  p.w.advance_s(1);
  EXPECT_EQ(p.state().kept, 3u) << "four are more than 4,000 bytes";
  EXPECT_LE(p.state().kept_bytes, 4000u);
  for (int i = 0; i < 65; ++i) p.w.advance_s(60);
  EXPECT_EQ(p.state().kept, 0u) << "an hour is over";
  p.slow = true;
  EXPECT_EQ(p.queue().replay(0, p.w.now().ms), 0u);
}

TEST(UplinkQueue, AStoppedReplayEnds) {
  Place p(-1, keeping());
  const int c = p.w.open_connected({.client_id = "c"});
  p.say(c, {"1", "2"});
  p.w.advance_s(1);
  p.slow = true;
  EXPECT_EQ(p.queue().replay(0, p.w.now().ms + 1000), 2u);
  p.w.run();
  p.queue().stop_replay();
  p.slow = false;
  p.w.advance_s(1);
  EXPECT_FALSE(p.queue().replays());
  EXPECT_EQ(p.state().replayed, 0u);
  p.w.crash();
  EXPECT_EQ(p.state().replay_left, 0u);
}

TEST(UplinkQueue, WhatThePlatformRefusesForEverIsADeadLetter) {
  for (const bool keeps : {false, true}) {
    Place p(-1, keeps ? keeping() : UplinkPlan{.name = "up", .filters = {"t"}});
    p.up.refuses = {"bad", "worse"};
    const int c = p.w.open_connected({.client_id = "c"});
    p.say(c, {"1", "bad", "2", "worse", "unsendable", "3"});
    p.w.advance_s(1);
    EXPECT_EQ(p.up.firsts(), (Payloads{"1", "bad", "2", "worse", "3"})) << "it holds up no other";
    EXPECT_EQ(p.state().queued, 0u);
    ASSERT_EQ(p.state().dead, 3u);
    p.w.crash();
    ASSERT_EQ(p.state().dead, 3u) << "and outlives the engine";
    EXPECT_EQ(p.state().queued, 0u);
    EXPECT_EQ(p.queue().dead().begin()->second.why, "no");
    EXPECT_EQ(p.queue().dead().begin()->second.bytes, 3u);
    p.up.refuses = {"worse"};
    p.up.all.clear();
    EXPECT_EQ(p.queue().send_dead_again(), 3u);
    p.w.advance_s(1);
    EXPECT_EQ(p.up.all, (Payloads{"bad", "worse"}));
    EXPECT_EQ(p.state().dead, 2u) << "one has gone, two are still refused";
    p.w.crash();
    EXPECT_EQ(p.state().dead, 2u);
    EXPECT_EQ(p.queue().discard_dead(), 2u);
    p.w.run();
    p.w.crash();
    EXPECT_EQ(p.state().dead, 0u);
  }
}

TEST(UplinkQueue, DeadLettersHaveABound) {
  Place p(-1, {.name = "up", .filters = {"t"}, .dead_max = 2});
  p.up.refuses = {"a", "b", "c"};
  const int c = p.w.open_connected({.client_id = "c"});
  p.say(c, {"a", "b", "c"});
  p.w.advance_s(1);
  EXPECT_EQ(p.state().dead, 2u);
  EXPECT_EQ(p.state().dead_lost, 1u) << "the oldest";
  p.up.refuses.clear();
  p.up.all.clear();
  p.queue().send_dead_again();
  p.w.advance_s(1);
  EXPECT_EQ(p.up.all, (Payloads{"b", "c"}));
}

TEST(UplinkQueue, ReplaysAndDeadLettersSurviveADeathAtAnyMoment) {
  for (int at = 0;; ++at) {
    Place p(at, keeping());
    p.up.refuses = {"bad"};
    const int c = p.w.open_connected({.client_id = "c"});
    p.say(c, {"1", "bad", "2"});
    p.w.advance_s(2);
    EXPECT_EQ(p.up.firsts(), (Payloads{"1", "bad", "2"})) << at;
    EXPECT_GE(p.state().dead, 1u) << at << ": its publisher may have said it twice";
    p.up.replayed.clear();
    p.queue().replay(0, p.w.now().ms + 1000);
    p.w.advance_s(2);
    if (p.up.replayed.empty()) {  // the engine died before it was stored that there is one
      p.queue().replay(0, p.w.now().ms + 1000);
      p.w.advance_s(2);
    }
    const std::set<std::string> again(p.up.replayed.begin(), p.up.replayed.end());
    EXPECT_EQ(again, (std::set<std::string>{"1", "2"})) << at;
    EXPECT_FALSE(p.queue().replays()) << at;
    EXPECT_EQ(p.state().queued, 0u) << at;
    if (!p.w.crashed()) break;
  }
}

}  // namespace
}  // namespace berth::test
