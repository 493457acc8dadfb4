// Edges that come, break off, come back or are gone.
#include <gtest/gtest.h>

#include "tests/support/world.h"

namespace berth::test {
namespace {

const ConnectOptions kPersistent{.client_id = "s", .clean = false, .properties = expiry(600)};

const ConnectOptions kWithWill{
    .client_id = "d", .will_topic = "w", .will_payload = "gone", .will_qos = 1};

TEST(Edges, MessagesOfTheGapReachExpiry0AndPersistentSessionsWhenTheEdgeIsBack) {
  World w;
  const int v = w.open_connected({.client_id = "v"}, 1);
  w.feed(v, subscribe(1, "t", 1));
  const int s = w.open_connected(kPersistent, 1);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"}, 0);
  w.packets(v), w.packets(s), w.packets(p);
  w.lose(1);
  for (unsigned i = 1; i <= 3; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(w.packets(p).size(), 3u) << "acknowledged: they are in the store";
  w.join(1);
  for (const int c : {v, s}) {
    const std::vector<Packet> got = w.packets(c);
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0].payload(5), "1");
    EXPECT_EQ(got[2].payload(5), "3");
    EXPECT_FALSE(w.ended(c));
  }
}

TEST(Edges, TheEngineDiesWhileAnEdgeIsOutOfReach) {
  World w;
  const int v = w.open_connected({.client_id = "v"}, 1);
  w.feed(v, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"}, 0);
  w.packets(v);
  w.lose(1);
  w.feed(p, publish("t", "in the gap", 1, 1));
  w.crash();  // the next engine has both edges
  const std::vector<Packet> got = w.packets(v);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].payload(5), "in the gap");
}

TEST(Edges, I6_AnEdgeThatIsGoneFiresWillsOnlyAfterTheGrace) {
  World w;
  const int watch = w.open_connected({.client_id = "watch"}, 0);
  w.feed(watch, subscribe(1, "w", 1));
  w.packets(watch);
  (void)w.open_connected(kWithWill, 1);
  w.lose(1);
  w.gone(1);
  w.advance_s(59);
  EXPECT_TRUE(w.packets(watch).empty());
  w.advance_s(2);
  EXPECT_EQ(w.packets(watch).size(), 1u);
}

TEST(Edges, ComesBackAfterItWasGivenUp) {
  World w;
  const int v = w.open_connected({.client_id = "v"}, 1);  // expiry 0, subscribed
  w.feed(v, subscribe(1, "t", 1));
  const int pub = w.open_connected({.client_id = "pub"}, 1);  // expiry 0, not subscribed
  const int s = w.open_connected(kPersistent, 1);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"}, 0);
  w.lose(1);
  w.gone(1);
  w.feed(p, publish("t", "missed", 1, 1));
  w.packets(s);
  w.join(1);
  EXPECT_TRUE(w.ended(v)) << "it may have missed what was acknowledged";
  EXPECT_EQ(w.reason(v), protocol::link::CloseReason::session_lost);
  EXPECT_FALSE(w.ended(pub));
  EXPECT_FALSE(w.ended(s));
  const std::vector<Packet> got = w.packets(s);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].payload(5), "missed");
}

TEST(Edges, I6_TakenOverElsewhereWhileOutOfReachFiresNoWill) {
  World w;
  const int watch = w.open_connected({.client_id = "watch"}, 0);
  w.feed(watch, subscribe(1, "w", 1));
  w.packets(watch);
  const int old = w.open_connected(kWithWill, 1);
  w.lose(1);
  const int now = w.open_connected(kWithWill, 0);
  EXPECT_TRUE(w.packets(watch).empty()) << "most likely the edge has ended, and the device is back";
  w.join(1);
  EXPECT_TRUE(w.ended(old));
  EXPECT_EQ(w.reason(old), protocol::link::CloseReason::taken_over);
  EXPECT_FALSE(w.ended(now));
}

}  // namespace
}  // namespace berth::test
