// The order of a stream's events, and from which of them a client may go on.
#include "gateway/rest/event_order.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace berth::gateway::rest {
namespace {

namespace pb = platform::pb;
using Texts = std::vector<std::string>;

pb::EventsAnswer said(std::vector<std::int64_t> at, std::int64_t through, std::int64_t gap = 0) {
  pb::EventsAnswer a;
  for (const std::int64_t ms : at) {
    pb::HistoryEvent& e = *a.add_events();
    e.set_at_ms(ms);
    e.set_number(7);
    e.set_kind(static_cast<std::uint32_t>(platform::HistoryKind::connected));
    e.set_device("d" + std::to_string(ms));
  }
  a.set_through_ms(through);
  a.set_gap_ms(gap);
  return a;
}

pb::EventsQuestion about(const char* tenant = "", const char* device = "") {
  pb::EventsQuestion q;
  q.set_tenant(tenant);
  q.set_device(device);
  return q;
}

// "d100 100-7" of each: device and id; "gap some" and the like.
Texts heard(EventOrder& o) {
  o.say_all();
  Texts all;
  for (const EventOrder::Out& e : o.waiting()) {
    const bool gap = e.name == "gap";
    const std::string key = gap ? "\"missing\":\"" : "\"device\":\"";
    const std::size_t at = e.data.find(key) + key.size();
    all.push_back((gap ? "gap " : "") + e.data.substr(at, e.data.find('"', at) - at) +
                  (e.id.empty() ? "" : " " + e.id));
  }
  o.waiting().clear();
  return all;
}

TEST(EventOrder, AnEventIsSaidWhenAllHaveSaidWhatWasBeforeIt) {
  EventOrder o(about(), 2);
  ASSERT_TRUE(o.take({said({}, 50), said({}, 50)}));
  ASSERT_TRUE(o.take({said({60, 90}, 100), said({70}, 80)}));
  EXPECT_EQ(heard(o), (Texts{"d60 60-7", "d70 70-7"}));
  EXPECT_EQ(o.question(0).from_ms(), 80) << "what is above is asked for again";
  ASSERT_TRUE(o.take({said({90}, 120), said({}, 110)}));
  EXPECT_EQ(heard(o), Texts{"d90 90-7"});
  EXPECT_FALSE(o.take({std::nullopt, std::nullopt}));
}

// A client that came again with the id of such an event missed what the silent one says later.
TEST(EventOrder, WhileAPartitionIsSilentNoEventHasAnId) {
  EventOrder o(about(), 2);
  o.take({said({}, 50), said({}, 50)});
  ASSERT_TRUE(o.take({said({60}, 100), std::nullopt}));
  EXPECT_EQ(heard(o), Texts{"d60"});
  EXPECT_EQ(o.question(1).from_ms(), 50);
  ASSERT_TRUE(o.take({said({110}, 120), said({55, 58, 115}, 120)}));
  EXPECT_EQ(heard(o), (Texts{"d55", "d58 60-7", "d110 110-7", "d115 115-7"}))
      << "the last late one completes all through 60";
}

TEST(EventOrder, OfTwoEventsAtOnePlaceTheLastHasTheId) {
  EventOrder o(about(), 2);
  ASSERT_TRUE(o.take({said({60}, 100), said({60}, 100)}));
  EXPECT_EQ(heard(o), (Texts{"d60", "d60 60-7"}));
}

TEST(EventOrder, ComesAgainBehindAnId) {
  EventOrder o(about(), 2);
  for (const char* id : {"", "x", "60", "60-", "-60-7", "60-7x", "0-7"}) EXPECT_FALSE(o.resume(id));
  ASSERT_TRUE(o.resume("60-7"));
  for (const std::uint32_t p : {0u, 1u}) {
    EXPECT_EQ(o.question(p).from_ms(), 60);
    EXPECT_EQ(o.question(p).from_number(), 8u);
  }
}

TEST(EventOrder, WhatAnEngineHasNotInMemoryComesFromTheHistoryOrIsAGap) {
  EventOrder o(about("acme", "cam"), 2);
  ASSERT_TRUE(o.resume("60-7"));
  ASSERT_TRUE(o.take({said({95}, 100, 90), said({}, 100)}));
  const auto m = o.next_missing();
  ASSERT_TRUE(m);
  EXPECT_FALSE(o.next_missing());
  const pb::HistoryQuestion q = o.question(*m);
  EXPECT_EQ(q.from_ms(), 60);
  EXPECT_EQ(q.to_ms(), 90);
  pb::HistoryAnswer kept;
  *kept.mutable_events() = said({60, 80, 70}, 0).events();
  o.fill(*m, kept);
  EXPECT_EQ(heard(o), (Texts{"gap presence", "d70 70-7", "d80 80-7", "d95 95-7"}))
      << "and what had been said at 60 is not said again";
  ASSERT_TRUE(o.take({said({}, 120, 110), said({}, 120)}));
  o.fill(*o.next_missing(), std::nullopt);
  EXPECT_EQ(heard(o), (Texts{"gap presence", "gap some"}));
  EventOrder all(about("acme"), 1);
  ASSERT_TRUE(all.resume("60-7"));
  ASSERT_TRUE(all.take({said({}, 100, 90)}));
  EXPECT_FALSE(all.next_missing());
  EXPECT_EQ(heard(all), Texts{"gap all"});
}

}  // namespace
}  // namespace berth::gateway::rest
