// What inputs of connections have come to, for the engine after us.
#include "session/replay_log.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using session::AppliedList;
using session::Channel;

TEST(ReplayLog, AnOutcomeIsFoundByTheEndOfItsInput) {
  CoreBox box;
  auto& log = box.core.replay;
  Channel& ch = box.client("c");
  ch.in_off = 100;
  log.record(ch, "one");
  ch.in_off = 200;
  log.record(ch, "two");
  ch.replay_end = 250;
  const std::string* found = log.outcome_of(ch);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(*found, "two");
  EXPECT_EQ(box.probe.applied_replays, 1u);
  ch.in_off = 100;
  EXPECT_EQ(*log.outcome_of(ch), "one");
  ch.in_off = 150;
  EXPECT_EQ(log.outcome_of(ch), nullptr) << "no input ends there";
}

TEST(ReplayLog, OnlyWhatMayBeAReplayIsLookedUp) {
  CoreBox box;
  Channel& ch = box.client("c");
  ch.in_off = 100;
  box.core.replay.record(ch, "one");
  ch.replay_end = 99;
  EXPECT_EQ(box.core.replay.outcome_of(ch), nullptr);
  ch.replay_end = 100;
  EXPECT_NE(box.core.replay.outcome_of(ch), nullptr);
}

TEST(ReplayLog, WhatIsSaidAgainOfAnInputReplacesWhatWasSaid) {
  CoreBox box;
  Channel& ch = box.client("c");
  ch.in_off = ch.replay_end = 100;
  box.core.replay.record(ch, "half");
  box.core.replay.record(ch, "whole");
  EXPECT_EQ(*box.core.replay.outcome_of(ch), "whole");
  EXPECT_EQ(ch.applied->size(), 1u);
}

TEST(ReplayLog, WhatItsEdgeCannotSayAgainIsRemoved) {
  CoreBox box;
  auto& log = box.core.replay;
  Channel& ch = box.client("c");
  for (const std::uint64_t at : {100u, 200u, 300u}) log.record(ch, "x", at);
  const Strings put = box.commit();
  EXPECT_EQ(put.size(), 3u);
  EXPECT_EQ(put[0], "put_applied " + log.key_of(ch, 100));
  ch.edge_in_ack = 200;
  log.record(ch, "x", 400);
  EXPECT_EQ(box.commit(), (Strings{"remove_applied " + log.key_of(ch, 100),
                                   "remove_applied " + log.key_of(ch, 200),
                                   "put_applied " + log.key_of(ch, 400)}));
  EXPECT_EQ(ch.applied->size(), 2u);
}

TEST(ReplayLog, RecordsNothingWhereNoEdgeSurvives) {
  CoreBox box({}, false);
  Channel& ch = box.client("c");
  box.core.replay.record(ch, "x", 100);
  EXPECT_TRUE(box.commit().empty());
  EXPECT_EQ(ch.applied, nullptr);
}

TEST(ReplayLog, TheSessionsThatAMessageWasStoredForAreReadAgain) {
  CoreBox box;
  Channel& ch = box.client("c");
  session::Deferred d;
  d.in_off = 100;
  d.spilled = {{3}, {70'000}, {UINT64_MAX}};
  box.core.replay.record_spilled(ch, d);
  ch.in_off = ch.replay_end = 100;
  EXPECT_EQ(box.core.replay.spilled_before(ch), d.spilled);
  ch.in_off = 99;
  EXPECT_TRUE(box.core.replay.spilled_before(ch).empty());
}

TEST(ReplayLog, SaysHowFarAMessageToManyHasCome) {
  CoreBox box;
  auto& log = box.core.replay;
  Channel& ch = box.client("c");
  ch.in_off = ch.replay_end = 100;
  EXPECT_FALSE(log.fanned_out_through(ch));
  for (const std::int64_t route : {std::int64_t{-1}, std::int64_t{16}, std::int64_t{UINT32_MAX}}) {
    log.record(ch, log.fanned_out_groups(route));
    const auto through = log.fanned_out_through(ch);
    ASSERT_TRUE(through);
    EXPECT_EQ(through->route, route);
    EXPECT_EQ(through->session, 0u);
  }
  log.record(ch, std::string("f\x07"));
  EXPECT_EQ(log.fanned_out_through(ch)->session, 7u);
  EXPECT_EQ(log.fanned_out_through(ch)->route, UINT32_MAX) << "all groups";
  log.record(ch, "F");
  EXPECT_EQ(log.fanned_out_through(ch)->session, UINT64_MAX);
  log.record(ch, "p");
  EXPECT_FALSE(log.fanned_out_through(ch)) << "another kind of outcome";
}

TEST(ReplayLog, WhatIsLeftOfAnEdgesConnectionsIsRemovedAndNoOthers) {
  CoreBox box;
  auto& log = box.core.replay;
  log.orphans()[{77, 1}] = AppliedList{{100, "a"}, {200, "b"}};
  log.orphans()[{77, 2}] = AppliedList{{300, "c"}};
  log.orphans()[{78, 1}] = AppliedList{{100, "d"}};
  log.remove_orphans_of(77);
  EXPECT_EQ(box.commit().size(), 3u);
  ASSERT_EQ(log.orphans().size(), 1u);
  EXPECT_EQ(log.orphans().begin()->first.first, 78u);
}

}  // namespace
}  // namespace berth::test
