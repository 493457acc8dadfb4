// What an edge keeps of its connections for the engine after us.
#include <gtest/gtest.h>

#include "protocol/link/records.h"
#include "tests/support/packets.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using protocol::link::CookieSlot;

// Filters are sent when they change, not with every message.
TEST(Cookies, OfExpiry0SaySubscriptionsOnlyWhenTheyChange) {
  World w;
  const int c = w.open_connected({.client_id = "c"});
  for (int i = 0; i < 20; ++i) w.feed(c, subscribe(7, filter_of(150, i), 1));
  w.feed(c, subscribe(7, "t", 1));
  w.watch_cookies();
  const int p = w.open_connected({.client_id = "p"});
  for (int i = 0; i < 10; ++i) {
    w.feed(p, publish("t", "x", 1, 1));
    EXPECT_EQ(take_publishes(w, c).size(), 1u);
  }
  EXPECT_LT(w.cookie_bytes(c), 1000u);
}

TEST(Cookies, ManyFiltersOfExpiry0AreInTheStore) {
  for (int crash_at = -1; crash_at < 100; ++crash_at) {
    SCOPED_TRACE(crash_at);
    World w({}, crash_at);
    const int c = w.open_connected({.client_id = "c"});
    for (int i = 0; i < 20; ++i) {
      w.feed(c, subscribe(7, filter_of(400, i), 1));
      ASSERT_EQ(answer(w, c, 9, 3), 1u) << i << protocol::link::name_of(w.reason(c));
    }
    w.feed(c, unsubscribe(8, filter_of(400, 3)));
    const int p = w.open_connected({.client_id = "p"});
    for (int i = 0; i < 20; ++i) w.feed(p, publish(filter_of(400, i), "x", 1, 1));
    EXPECT_GE(take_publishes(w, c).size(), 19u);
    EXPECT_LT(w.cookie_size(c), 16u << 10);
    w.crash();
    EXPECT_FALSE(w.ended(c));
    w.feed(p, publish(filter_of(400, 3), "x", 1, 1));
    EXPECT_TRUE(take_publishes(w, c).empty());
    w.feed(p, publish(filter_of(400, 19), "x", 1, 1));
    EXPECT_EQ(take_publishes(w, c).size(), 1u);
    w.feed(p, publish("kept", "x", 1, 1, 5, true));
    w.feed(c, subscribe(9, "kept", 1));
    EXPECT_EQ(take_publishes(w, c).size(), 1u);  // once
    w.close(c);
    EXPECT_EQ(w.broker().session_count(), 1u);
    w.crash();
    EXPECT_EQ(w.broker().session_count(), 1u);
  }
}

// An edge of the last release has one slot for it all, and so has a cookie from there.
TEST(Cookies, OfTheLastReleaseAreReadAndWritten) {
  World w;
  w.last_release_edge(true);
  const int c = w.open_connected({.client_id = "c"});
  w.feed(c, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "x", 1, 1));
  EXPECT_EQ(take_publishes(w, c).size(), 1u);
  for (const bool last : {true, false, false}) {
    w.last_release_edge(last);
    w.crash();
    w.feed(p, publish("t", "y", 1, 1));
    EXPECT_EQ(take_publishes(w, c).size(), 1u);
  }
}

TEST(Cookies, ForAnEngineOfTheLastReleaseTheSlotsAreOne) {
  protocol::link::Cookie cookie;
  cookie[static_cast<std::size_t>(CookieSlot::volatile_state)] = "a";
  cookie[static_cast<std::size_t>(CookieSlot::subscriptions)] = "b";
  protocol::link::join_subscriptions(cookie);
  EXPECT_EQ(cookie[static_cast<std::size_t>(CookieSlot::volatile_state)], "ab");
  EXPECT_TRUE(cookie[static_cast<std::size_t>(CookieSlot::subscriptions)].empty());
}

// A device that acknowledges every second message does not make its cookie grow.
TEST(Cookies, WhatIsInFlightInPatchesHasALimit) {
  World w;
  const int c = w.open_connected({.client_id = "c"});
  w.feed(c, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  bool odd = false;
  for (int round = 0; round < 300; ++round) {
    std::string many;
    for (unsigned i = 0; i < 50; ++i) many += publish("t", "x", 1, 1 + i);
    w.feed(p, many);
    for (const Packet& k : w.packets(c)) {
      if (k.type == 3 && (odd = !odd)) w.feed(c, ack(4, k.id()));
    }
  }
  EXPECT_LT(w.cookie_size(c), 16u << 10);
  EXPECT_FALSE(w.ended(c));
}

}  // namespace
}  // namespace berth::test
