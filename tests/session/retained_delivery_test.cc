// Retained messages on their way to those that subscribe, and their end.
#include "session/retained_delivery.h"

#include <gtest/gtest.h>

#include "session/entry_codec.h"
#include "tests/support/core_box.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

TEST(Retained, ComesWithTheSubscriptionByItsHandling) {  // 3.3.1.3, 3.8.3.1
  World w;
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("r/1", "one", 1, 1, 5, true));
  w.feed(p, publish("r/2", "two", 0, 0, 5, true));
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "r/#", 1));
  EXPECT_EQ(payloads(w.packets(s)), (Strings{"one", "two"}));
  w.feed(s, subscribe(2, "r/#", 0x10 | 1));  // only if new
  EXPECT_TRUE(payloads(w.packets(s)).empty());
  w.feed(s, subscribe(3, "r/+", 0x20));  // never
  EXPECT_TRUE(payloads(w.packets(s)).empty());
  w.feed(p, publish("r/1", "", 0, 0, 5, true));  // deletes
  const int s2 = w.open_connected({.client_id = "s2"});
  w.feed(s2, subscribe(1, "r/1", 0));
  EXPECT_TRUE(payloads(w.packets(s2)).empty());
}

TEST(Retained, ManyAreSentInBoundedTurnsAndSurviveASlowReader) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  for (int i = 0; i < 1000; ++i) w.feed(p, publish("r/" + std::to_string(i), "x", 0, 0, 5, true));
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "r/#", 0));
  EXPECT_EQ(payloads(w.packets(s)).size(), 1000u);
  const int t = w.open_connected({.client_id = "t"});
  w.set_writable(t, false);
  w.feed(t, subscribe(1, "r/#", 0));
  EXPECT_TRUE(payloads(w.packets(t)).empty());
  w.set_writable(t, true);
  EXPECT_EQ(payloads(w.packets(t)).size(), 1000u);
}

TEST(Retained, ExpiredOnesGoAndMakeRoom) {
  session::BrokerOptions o;
  o.retained_messages_max = 2;
  World w(o);
  const int p = w.open_connected({.client_id = "p"});
  const std::string in_10_s("\x02\x00\x00\x00\x0a", 5);
  w.feed(p, publish("r/1", "x", 0, 0, 5, true, false, in_10_s));
  w.feed(p, publish("r/2", "x", 0, 0, 5, true, false, in_10_s));
  w.feed(p, publish("r/3", "x", 0, 0, 5, true));
  w.broker().refresh_gauges();
  EXPECT_EQ(w.probe().retained, 2u) << "full";
  w.advance_s(11);
  w.broker().refresh_gauges();
  EXPECT_EQ(w.probe().retained, 0u);
  EXPECT_EQ(w.probe().retained_expired, 2u);
  w.feed(p, publish("r/3", "x", 0, 0, 5, true));
  w.crash();
  w.broker().refresh_gauges();
  EXPECT_EQ(w.probe().retained, 1u) << "in the store too";
}

// The edge gets the place that a walk has come to when it has come further, not with each input.
TEST(Retained, TheCursorGoesToTheEdgeWhenItHasMoved) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("r/1", "1", 0, 0, 5, true) + publish("r/2", "2", 0, 0, 5, true));
  const int s = w.open_connected({.client_id = "s"});
  w.set_writable(s, false);
  w.feed(s, subscribe(1, "r/#", 0));
  w.packets(s);
  EXPECT_NE(w.cookie_size(s), 0u);
  w.watch_cookies();
  for (int i = 0; i < 20; ++i) w.feed(s, from_hex("c0 00"));  // PINGREQ: the edge answers
  EXPECT_EQ(w.cookie_bytes(s), 0u);
  w.feed(s, subscribe(2, "r/1", 0));
  EXPECT_EQ(w.packets(s).size(), 1u) << "SUBACK";
  EXPECT_GT(w.cookie_bytes(s), 0u) << "one more filter";
  w.set_writable(s, true);
  std::vector<std::string> got;
  for (const Packet& k : w.packets(s)) got.push_back(k.payload(5));
  EXPECT_EQ(got, (std::vector<std::string>{"1", "2", "1"}));
}

// -- the room alone

session::BrokerOptions partition(std::uint32_t which) {
  session::BrokerOptions o;
  o.partition = which;
  o.partitions = 2;
  return o;
}
session::MessageView retained_message(const char* topic, const char* payload,
                                      std::uint64_t stamp = 0) {
  session::MessageView m = message(topic, payload);
  m.retain = true;
  m.stamp = stamp;
  return m;
}

TEST(RetainedDelivery, EachStampIsGreaterThanAllThatAreKnownAndNoOtherPartitions) {
  CoreBox zero(partition(0));
  CoreBox one(partition(1));
  std::uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t a = zero.core.retained_delivery.next_stamp(zero.now);
    const std::uint64_t b = one.core.retained_delivery.next_stamp(one.now);
    EXPECT_NE(a, b) << "at the same time";
    EXPECT_GT(a, last);
    last = a;
  }
  one.core.retained_delivery.see_stamp(last + (1u << 30));
  EXPECT_GT(one.core.retained_delivery.next_stamp(one.now), last + (1u << 30))
      << "whatever the clocks of others say";
  zero.now.ms -= 10'000;
  EXPECT_GT(zero.core.retained_delivery.next_stamp(zero.now), last) << "the clock was set back";
  EXPECT_EQ(CoreBox().core.retained_delivery.next_stamp({1'000'000}), 0u) << "there are no others";
}

TEST(RetainedDelivery, WhatIsRetainedIsStoredAndThenKept) {
  CoreBox box;
  auto& room = box.core.retained_delivery;
  EXPECT_TRUE(room.store(retained_message("t", "x")));
  EXPECT_FALSE(box.core.retained.contains("t"));
  room.keep(retained_message("t", "x"), box.now);
  EXPECT_TRUE(box.core.retained.contains("t"));
  EXPECT_EQ(box.commit(), Strings{"put_retained t"});
  EXPECT_TRUE(room.store(retained_message("t", "")));  // 3.3.1-6
  room.keep(retained_message("t", ""), box.now);
  EXPECT_FALSE(box.core.retained.contains("t"));
  EXPECT_EQ(box.commit(), Strings{"remove_retained t"});
}

TEST(RetainedDelivery, AnOlderOneOfAnotherPartitionIsNotStored) {
  CoreBox box(partition(0));
  auto& room = box.core.retained_delivery;
  EXPECT_TRUE(room.store(retained_message("t", "new", 20)));
  EXPECT_FALSE(room.store(retained_message("t", "old", 10)));
  room.keep(retained_message("t", "new", 20), box.now);
  room.keep(retained_message("t", "old", 10), box.now);
  EXPECT_EQ(box.core.retained.stamp_of("t"), 20u);
  EXPECT_EQ(box.commit().size(), 1u);
}

TEST(RetainedDelivery, NoMoreAreKeptThanThereMayBe) {
  session::BrokerOptions o;
  o.retained_messages_max = 2;
  CoreBox box(o);
  auto& room = box.core.retained_delivery;
  for (const char* topic : {"a", "b", "c"}) {
    room.store(retained_message(topic, "x"));
    room.keep(retained_message(topic, "x"), box.now);
  }
  EXPECT_EQ(box.commit().size(), 2u);
  EXPECT_EQ(box.core.retained.size(), 2u);
  EXPECT_EQ(box.probe.drop_retained_full, 1u);
  room.keep(retained_message("a", "y"), box.now);
  EXPECT_EQ(box.probe.drop_retained_full, 1u) << "in the place of one that is there";
}

TEST(RetainedDelivery, AnExpiredOneEndsInTheStoreToo) {
  CoreBox box;
  auto m = retained_message("t", "x");
  m.expires_at = box.now.plus_s(10);
  box.core.retained_delivery.keep(m, box.now);
  box.core.retained_delivery.sweep_expired(box.now);
  EXPECT_TRUE(box.commit().empty());
  box.core.retained_delivery.sweep_expired(box.now.plus_s(11));
  EXPECT_EQ(box.commit(), Strings{"remove_retained t"});
  EXPECT_FALSE(box.core.retained.contains("t"));
  EXPECT_EQ(box.probe.retained_expired, 1u);
}

TEST(RetainedDelivery, DesiredStateGoesIntoTheQueueUnlessItHasExpired) {
  CoreBox box;
  session::Session& s = box.session("c", 600);
  for (const char* topic : {"d/1", "d/2", "e"}) {
    session::MessageView m = retained_message(topic, "x");
    m.qos = 1;
    if (std::string_view(topic) == "d/2") m.expires_at = box.now;
    box.core.retained_delivery.keep(m, box.now);
  }
  const session::RetainedItem item{.filter = "d/#", .options = {1}, .id = 0, .after = {}};
  box.core.retained_delivery.queue_desired(s, item, box.now);
  const auto batch = box.core.commits.seal();
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->size(), 1u);
  const auto entry = session::decode_entry((*batch)[0].value);
  EXPECT_EQ(entry->message.topic, "d/1");
  EXPECT_TRUE(entry->message.retain);
}

}  // namespace
}  // namespace berth::test
