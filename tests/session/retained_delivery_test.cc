// Retained messages on their way to those that subscribe, and their end.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace berth::test
