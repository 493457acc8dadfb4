// Order (MQTT 4.6) where a message waits for a commit and its receiver comes, or changes,
// meanwhile.
#include "session/order_clock.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/world.h"

namespace berth::test {
namespace {

// For whom every message to "t" has to be stored, so that it waits.
int subscribed_for_good(World& w) {
  const int kept =
      w.open_connected({.client_id = "kept", .clean = false, .properties = expiry(60)});
  w.feed(kept, subscribe(1, "t", 1));
  return kept;
}

std::vector<std::string> payloads_of(World& w, int c) {
  std::vector<std::string> all;
  for (const Packet& k : take_publishes(w, c)) all.push_back(k.payload(5));
  return all;
}

TEST(Order, ASubscriberThatComesWhileMessagesWaitForACommit) {
  World w;
  const int kept = subscribed_for_good(w);
  const int s = w.open_connected({.client_id = "s"}, 1);
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("t", "1", 1, 1) + publish("t", "2", 1, 2));
  w.feed(s, subscribe(1, "t", 1));
  w.feed(p, publish("t", "3", 1, 3));
  w.hold_commits(false);
  w.feed(p, publish("t", "4", 1, 4));
  const auto got = payloads_of(w, s);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end())) << ::testing::PrintToString(got);
  EXPECT_EQ(std::count(got.begin(), got.end(), "4"), 1);
  EXPECT_EQ(payloads_of(w, kept), (std::vector<std::string>{"1", "2", "3", "4"}));
}

TEST(Order, ASubscriberWhoseWindowFillsWhileMessagesWaitForACommit) {
  for (const std::uint32_t link : {0u, 1u}) {
    World w;
    subscribed_for_good(w);
    const int s =
        w.open_connected({.client_id = "s", .properties = std::string("\x21\x00\x02", 3)}, link);
    w.feed(s, subscribe(1, "t", 1));
    const int p = w.open_connected({.client_id = "p"});
    unsigned n = 0;
    for (int round = 0; round < 4; ++round) {
      w.hold_commits(true);
      for (int i = 0; i < 3; ++i, ++n)
        w.feed(p, publish("t", std::string(1, static_cast<char>('a' + n)), 1, n + 1));
      w.hold_commits(false);
      w.run();
    }
    const auto got = payloads_of(w, s);
    EXPECT_EQ(got.size(), n);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end())) << ::testing::PrintToString(got);
  }
}

TEST(Order, ASubscriberThatStopsReadingWhileMessagesWaitForACommit) {
  World w;
  subscribed_for_good(w);
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("t", "1", 1, 1));
  w.set_writable(s, false);
  w.feed(p, publish("t", "2", 1, 2));
  w.set_writable(s, true);
  w.feed(p, publish("t", "3", 1, 3));
  w.hold_commits(false);
  w.feed(p, publish("t", "4", 1, 4));
  EXPECT_EQ(payloads_of(w, s), (std::vector<std::string>{"1", "2", "3", "4"}));
}

// The edge of a receiver is lost, or it comes to another one, between a message and its commit.
TEST(Order, ASubscriberWhoseEdgeIsLostWhileMessagesWaitForACommit) {
  World w;
  subscribed_for_good(w);
  const int s = w.open_connected({.client_id = "s"}, 1);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("t", "1", 1, 1));
  w.lose(1);
  w.feed(p, publish("t", "2", 1, 2));
  w.join(1);
  w.feed(p, publish("t", "3", 1, 3));
  w.hold_commits(false);
  w.feed(p, publish("t", "4", 1, 4));
  EXPECT_EQ(payloads_of(w, s), (std::vector<std::string>{"1", "2", "3", "4"}));
}

// Its edge comes back before the commit: the store does not have the message yet, and what the store
// does not have is not to be taken for a message that was dropped (I1).
TEST(Order, AStoredSessionWhoseEdgeComesBackBeforeTheCommit) {
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(600)}, 1);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "1", 1, 1));
  w.feed(s, ack(4, 1));  // nothing is left in the store
  w.hold_commits(true);
  w.lose(1);
  w.feed(p, publish("t", "2", 1, 2));
  w.join(1);
  w.feed(p, publish("t", "3", 1, 3));
  w.hold_commits(false);
  w.feed(p, publish("t", "4", 1, 4));
  EXPECT_EQ(payloads_of(w, s), (std::vector<std::string>{"1", "2", "3", "4"}));
}

TEST(OrderClock, EachMomentIsAfterAllBefore) {
  session::OrderClock clock;
  const std::uint64_t before = clock.now();
  const std::uint64_t change = clock.next();
  EXPECT_GT(change, before);
  EXPECT_EQ(clock.now(), change) << "looking at it does not make it go on";
  EXPECT_EQ(clock.now(), change);
  EXPECT_GT(clock.next(), change);
}

}  // namespace
}  // namespace berth::test
