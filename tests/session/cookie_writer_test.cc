// What an edge keeps of its connections for the engine after us.
#include "session/cookie_writer.h"

#include <gtest/gtest.h>

#include "protocol/link/records.h"
#include "session/records.pb.h"
#include "tests/support/core_box.h"
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

// -- the room alone

std::vector<CookieSlot> slots(CoreBox& box) {
  box.effects.cookies.clear();
  box.core.cookies.flush();
  std::vector<CookieSlot> out;
  for (const auto& c : box.effects.cookies) out.push_back(c.slot);
  return out;
}

TEST(CookieWriter, ASlotIsSentOnceAtTheEndOfTheTurnInWhichItChanged) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  box.core.cookies.changed(ch, CookieSlot::sent_seq);
  box.core.cookies.changed(ch, CookieSlot::identity);
  box.core.cookies.changed(ch, CookieSlot::sent_seq);
  EXPECT_TRUE(box.core.cookies.any_changed());
  EXPECT_TRUE(box.effects.cookies.empty());
  EXPECT_EQ(slots(box), (std::vector<CookieSlot>{CookieSlot::identity, CookieSlot::sent_seq}));
  EXPECT_FALSE(box.core.cookies.any_changed());
  EXPECT_TRUE(slots(box).empty());
}

TEST(CookieWriter, BeforeItsConnackAConnectionHasNone) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  ch.connack_sent = false;
  box.core.cookies.changed(ch, CookieSlot::identity);
  EXPECT_TRUE(slots(box).empty());
}

TEST(CookieWriter, OfAConnectionThatIsGoneNothingIsSent) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  box.core.cookies.changed(ch, CookieSlot::identity);
  box.core.sessions.offline(*ch.session, session::Offline::device);
  box.core.connections.forget(ch);
  EXPECT_TRUE(slots(box).empty());
}

TEST(CookieWriter, WhereNoEdgeSurvivesThereAreNone) {
  CoreBox box({}, false);
  box.core.cookies.changed(box.client("c"), CookieSlot::identity);
  EXPECT_FALSE(box.core.cookies.any_changed());
}

TEST(CookieWriter, AnEdgeOfTheLastReleaseHasSubscriptionsWithTheRest) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  box.core.subscriptions.add(*ch.session, "a", {1}, 0);
  const auto filters = [&] {
    box.core.cookies.changed(ch, CookieSlot::volatile_state);
    slots(box);
    session::pb::VolatileState v;
    EXPECT_TRUE(v.ParseFromString(box.effects.cookies.at(0).bytes));
    return v.subscriptions_size();
  };
  EXPECT_EQ(filters(), 0);
  box.effects.has_all_slots = false;
  EXPECT_EQ(filters(), 1);
  ch.session->filters_stored = true;
  EXPECT_EQ(filters(), 0) << "its record has them";
}

TEST(CookieWriter, DeliveriesThatAreAlikeAreOneRun) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  box.core.subscriptions.add(*ch.session, "t", {1}, 0);
  for (int i = 0; i < 300; ++i) {
    session::Delivery d{.message = message("t", "m", 1), .owned = {}, .publisher = {}};
    const session::WorksFor scope(box.effects.work(), ch.conn);
    box.core.queues.deliver(*ch.session, d, {1}, false, {}, box.now);
  }
  box.core.cookies.changed(ch, CookieSlot::volatile_state);
  slots(box);
  session::pb::VolatileState v;
  for (const auto& c : box.effects.cookies) {
    ASSERT_TRUE(c.slot != CookieSlot::volatile_state || v.ParseFromString(c.bytes));
  }
  EXPECT_EQ(v.first_seq(), 1u);
  EXPECT_EQ(v.outgoing(), std::string("\x11\xac\x02")) << "sent, QoS 1, 300 of them";
}

}  // namespace
}  // namespace berth::test
