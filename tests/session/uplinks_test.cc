// What platforms hear without being clients: durable before the PUBACK, in order, once but for the
// death of an engine.
#include "session/uplinks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/uplink_place.h"

namespace berth::test {
namespace {

std::size_t acks(World& w, int c) {
  const auto all = w.packets(c);
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const Packet& p) { return p.type == 4; }));
}

TEST(Uplinks, WhatWasAcknowledgedArrivesInOrderAtAnyDeath) {
  for (int at = 0;; ++at) {
    Place p(at);
    const int c = p.w.open_connected({.client_id = "c"});
    const int other = p.w.open_connected({.client_id = "d"}, 1);
    std::string five;
    for (std::uint16_t i = 1; i <= 5; ++i) five += publish("t", std::to_string(i), 1, i);
    p.w.feed(c, five);
    p.w.feed(other, publish("t", "6", 1, 1) + publish("t", "7", 2, 2));
    p.w.advance_s(1);
    EXPECT_EQ(p.up.firsts(), (Payloads{"1", "2", "3", "4", "5", "6", "7"})) << at;
    EXPECT_EQ(p.state().queued, 0u) << at;
    EXPECT_EQ(acks(p.w, c), 5u) << at;
    if (!p.w.crashed()) {
      EXPECT_EQ(p.up.all.size(), 7u) << "once";
      break;
    }
  }
}

TEST(Uplinks, WhatWaitsSurvivesTheEngine) {
  Place p;
  p.ready = false;
  p.begin();
  const int c = p.w.open_connected({.client_id = "c"});
  p.w.feed(c, publish("t", "1", 1, 1) + publish("t", "2", 0));
  EXPECT_EQ(acks(p.w, c), 1u) << "durable, wherever the platform is";
  EXPECT_TRUE(p.up.all.empty());
  EXPECT_EQ(p.state().queued, 2u) << "of QoS 0 too";
  p.w.crash();
  EXPECT_EQ(p.state().queued, 2u);
  p.w.advance_s(5);
  p.w.advance_s(5);
  EXPECT_GE(p.state().lag_s, 5u);
  p.ready = true;
  p.w.broker().uplinks().use(0, true);
  p.w.run();
  EXPECT_EQ(p.up.all, (Payloads{"1", "2"}));
  p.w.advance_s(1);
  EXPECT_EQ(p.state().lag_s, 0u);
  EXPECT_EQ(p.state().done, 2u);
}

TEST(Uplinks, ThePlatformHasAWindow) {
  Place p(-1, {.name = "up", .filters = {"t"}, .window_messages = 3});
  p.slow = true;
  const int c = p.w.open_connected({.client_id = "c"});
  std::string ten;
  for (std::uint16_t i = 1; i <= 10; ++i) ten += publish("t", std::to_string(i), 1, i);
  p.w.feed(c, ten);
  ASSERT_EQ(p.up.offers.size(), 3u);
  // Not in order: what is in front is not removed before it is done.
  const auto first = p.up.offers;
  p.up.offers.clear();
  p.w.broker().uplinks().done(0, first[2].generation, first[2].seq);
  p.w.broker().uplinks().finish();
  p.w.run();
  EXPECT_EQ(p.state().queued, 10u);
  EXPECT_TRUE(p.up.offers.empty());
  p.w.broker().uplinks().done(0, first[0].generation, first[0].seq);
  p.w.broker().uplinks().done(0, first[1].generation, first[1].seq);
  p.w.broker().uplinks().finish();
  p.w.run();
  EXPECT_EQ(p.state().queued, 7u);
  EXPECT_EQ(p.up.offers.size(), 3u);
  EXPECT_TRUE(p.w.broker().uplinks().busy());
  p.slow = false;
  p.w.advance_s(1);
  EXPECT_EQ(p.up.firsts().size(), 10u);
  EXPECT_FALSE(p.w.broker().uplinks().busy());
}

TEST(Uplinks, TelemetryIsRefusedFirstPlatesAndResultsLast) {
  EXPECT_EQ(session::rank_of("$tenant/a/v1/n/d/telemetry/x"), UplinkRank::telemetry);
  EXPECT_EQ(session::rank_of("$tenant/a/v1/n/d/event/door"), UplinkRank::event);
  EXPECT_EQ(session::rank_of("$tenant/a/v1/n/d/presence"), UplinkRank::event);
  for (const char* topic :
       {"$tenant/a/v1/n/d/event/plate", "$tenant/a/v1/n/d/cmd/1/res",
        "$tenant/a/v1/n/d/sub/x/cmd/1/res", "$tenant/a/v1/n/d/command/1/result"})
    EXPECT_EQ(session::rank_of(topic), UplinkRank::last) << topic;
  Place p(-1, {.name = "up", .filters = {"#"}, .queue_messages = 10});
  p.ready = false;
  p.begin();
  const int c = p.w.open_connected({.client_id = "c"});
  std::uint16_t id = 0;
  const auto say = [&](const char* topic, int n) {
    for (int i = 0; i < n; ++i) p.w.feed(c, publish(topic, "x", 1, ++id));
    return p.state();
  };
  UplinkState s = say("d/telemetry/t", 20);
  EXPECT_EQ(s.queued, 5u);
  EXPECT_EQ(s.refused[0], 15u);
  s = say("d/event/door", 20);
  EXPECT_EQ(s.queued, 9u);
  EXPECT_EQ(s.refused[1], 16u);
  s = say("d/event/plate", 20);
  EXPECT_EQ(s.queued, 10u);
  EXPECT_EQ(s.refused[2], 19u);
  EXPECT_EQ(acks(p.w, c), 60u) << "the publishers notice nothing";
}

TEST(Uplinks, AMessageThatCanNeverGoHoldsUpNoOther) {
  Place p;
  const int c = p.w.open_connected({.client_id = "c"});
  p.w.feed(c, publish("t", "1", 1, 1) + publish("t", "unsendable", 1, 2) + publish("t", "2", 1, 3));
  p.w.advance_s(1);
  EXPECT_EQ(p.up.all, (Payloads{"1", "2"}));
  EXPECT_EQ(p.state().unsendable, 1u);
  EXPECT_EQ(p.state().queued, 0u);
}

TEST(Uplinks, AnExpiredMessageDoesNotGo) {
  Place p;
  p.ready = false;
  p.begin();
  const int c = p.w.open_connected({.client_id = "c"});
  const std::string two_seconds("\x02\0\0\0\x02", 5);  // Message Expiry Interval
  p.w.feed(c,
           publish("t", "soon", 1, 1, 5, false, false, two_seconds) + publish("t", "late", 1, 2));
  p.w.advance_s(10);
  p.w.broker().uplinks().use(0, true);
  p.w.advance_s(1);
  EXPECT_EQ(p.up.all, Payloads{"late"});
  EXPECT_EQ(p.state().expired, 1u);
  EXPECT_EQ(p.state().queued, 0u);
}

TEST(Uplinks, AnotherPlanOffersAgainWhatIsNotDoneTheSameGoesOn) {
  UplinkPlan plan{.name = "up", .filters = {"t"}};
  Place p(-1, plan);
  p.slow = true;
  const int c = p.w.open_connected({.client_id = "c"});
  p.w.feed(c, publish("t", "1", 1, 1) + publish("t", "2", 1, 2));
  ASSERT_EQ(p.up.offers.size(), 2u);
  const auto before = p.up.offers;
  p.w.broker().uplinks().plan({{.name = "new", .filters = {"u"}}, plan}, &p.up);
  p.w.run();
  EXPECT_EQ(p.up.offers.size(), 2u) << "the same, at another place in the list";
  plan.revision = 2;
  p.w.broker().uplinks().plan({plan}, &p.up);
  p.up.offers.clear();
  p.w.broker().uplinks().use(0, true);
  p.w.run();
  ASSERT_EQ(p.up.offers.size(), 2u);
  p.w.broker().uplinks().done(0, before[0].generation, before[0].seq);
  p.w.broker().uplinks().finish();
  p.w.run();
  EXPECT_EQ(p.state().queued, 2u) << "what the sink of before says is not heard";
}

TEST(Uplinks, AQueueWhoseUplinkIsNotConfiguredStaysUntilItIsForgotten) {
  Place p;
  p.slow = true;
  const int c = p.w.open_connected({.client_id = "c"});
  p.w.feed(c, publish("t", "1", 1, 1));
  p.w.broker().uplinks().plan({}, nullptr);
  p.w.feed(c, publish("t", "2", 1, 2));
  const UplinkState s = p.state();
  EXPECT_FALSE(s.planned);
  EXPECT_EQ(s.name, "up");
  EXPECT_EQ(s.queued, 1u) << "and takes nothing more";
  EXPECT_TRUE(p.w.broker().uplinks().forget("up"));
  EXPECT_FALSE(p.w.broker().uplinks().forget("up"));
  p.w.run();
  EXPECT_TRUE(p.w.broker().uplinks().states(p.w.now()).empty());
  p.w.crash();
  EXPECT_EQ(p.state().queued, 0u) << "planned anew, and empty";
}

TEST(Uplinks, ForgetsNoneThatIsConfigured) {
  Place p;
  EXPECT_FALSE(p.w.broker().uplinks().forget("up"));
  EXPECT_FALSE(p.w.broker().uplinks().forget("other"));
}

TEST(Uplinks, NoClientHasItsSession) {
  Place p;
  p.ready = false;
  p.begin();
  const int c = p.w.open_connected({.client_id = "c"});
  p.w.feed(c, publish("t", "1", 1, 1));
  for (const bool clean : {false, true}) {
    const int forged = p.w.open_connected({.client_id = "$uplink/up", .clean = clean});
    const auto answer = p.w.packets(forged);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(answer[0].body.at(1), static_cast<char>(0x85)) << "client identifier not valid";
  }
  p.w.run();
  EXPECT_EQ(p.state().queued, 1u);
}

}  // namespace
}  // namespace berth::test
