// Packets that the edge has dropped because their deadline had passed (Broker::segment_expired):
// the delivery is finished, its packet id is free, and an engine's death changes nothing of it.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/world.h"

namespace berth::test {
namespace {

using Strings = std::vector<std::string>;

std::string window(unsigned n) {
  return std::string("\x21", 1) + u16(n);  // Receive Maximum
}
ConnectOptions subscriber(bool stored, unsigned receive_maximum) {
  return {.client_id = "s",
          .clean = !stored,
          .properties = (stored ? expiry(600) : std::string()) + window(receive_maximum)};
}

void say(World& w, int p, unsigned qos, unsigned from, unsigned to) {
  for (unsigned i = from; i <= to; ++i) {
    w.feed(p, publish("t", "m" + std::to_string(i), qos, i, 5));
    if (qos == 2) w.feed(p, ack(6, i));
  }
}

Strings heard(World& w, int c) {
  Strings out;
  for (const Packet& p : w.packets(c)) {
    if (p.type == 3) out.push_back(p.payload(5) + (p.dup() ? " dup" : ""));
  }
  return out;
}

// Three messages, of which the second is dropped at the edge, with room for two at a time.
void second_of_three(World& w, bool stored, unsigned qos) {
  int s = w.open_connected(subscriber(stored, 2));
  w.feed(s, subscribe(1, "t", qos));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, qos, 1, 3);
  ASSERT_EQ(heard(w, s), (Strings{"m1", "m2"}));
  w.drop(s, 2);
  EXPECT_EQ(w.dropped_untaken(s), 0u);
  EXPECT_EQ(heard(w, s), (Strings{"m3"}));  // there is room again
  if (!stored) return;
  w.close(s);
  s = w.open_connected(subscriber(stored, 10));
  EXPECT_EQ(heard(w, s), (Strings{"m1 dup", "m3 dup"}));  // never m2
}

TEST(Expired, ADroppedPacketIsFinishedAndItsPlaceIsFree) {
  for (const bool stored : {false, true}) {
    for (const unsigned qos : {1u, 2u}) {
      SCOPED_TRACE(testing::Message() << "stored " << stored << " qos " << qos);
      World w;
      second_of_three(w, stored, qos);
    }
  }
}

TEST(Expired, TheEngineMayDieAtEveryBoundary) {
  for (const bool stored : {false, true}) {
    for (const unsigned qos : {1u, 2u}) {
      for (const int breaks : {-1, 0}) {
        int deaths = 0;
        for (int at = 0;; ++at) {
          SCOPED_TRACE(testing::Message()
                       << "stored " << stored << " qos " << qos << " at " << at << " " << breaks);
          World w({}, at, breaks);
          int s = w.open_connected(subscriber(stored, 2));
          w.feed(s, subscribe(1, "t", qos));
          const int p = w.open_connected({.client_id = "p"});
          say(w, p, qos, 1, 2);
          w.drop(s, 2);
          EXPECT_EQ(w.dropped_untaken(s), 0u);
          say(w, p, qos, 3, 3);
          const Strings all = heard(w, s);  // a death may double m1 or m2 as new messages
          EXPECT_GE(all.size(), 3u);  // two are in flight, and the place of the second is free
          if (!w.crashed()) {
            EXPECT_EQ(all, (Strings{"m1", "m2", "m3"}));
          }
          if (w.crashed()) ++deaths;
          if (stored) {
            w.close(s);
            s = w.open_connected(subscriber(stored, 100));
            for (const Packet& m : w.packets(s)) {
              if (m.type == 3) {
                EXPECT_NE(m.id(), 2u);  // the one that was dropped
              }
            }
          }
          if (!w.crashed()) break;
        }
        EXPECT_GT(deaths, 10);
      }
    }
  }
}

// What has been acknowledged, or was never sent, is told too: nothing happens but the answer.
TEST(Expired, ANoticeThatComesTwiceOrTooLateChangesNothing) {
  World w;
  const int s = w.open_connected(subscriber(true, 10));
  w.feed(s, subscribe(1, "t", 1));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 2);
  ASSERT_EQ(heard(w, s), (Strings{"m1", "m2"}));
  w.feed(s, ack(4, 1));
  w.drop(s, 1);
  w.drop(s, 2);
  w.drop(s, 2);
  w.drop(s, 77);
  EXPECT_EQ(w.dropped_untaken(s), 0u);
  say(w, p, 1, 3, 3);
  EXPECT_EQ(heard(w, s), (Strings{"m3"}));
}

// Durable first: the edge is told to forget a notice when no engine can miss it any more.
TEST(Expired, TheEdgeKeepsANoticeUntilTheEndOfItsDeliveryIsStored) {
  World w;
  const int s = w.open_connected(subscriber(true, 10));
  w.feed(s, subscribe(1, "t", 1));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 1);
  w.hold_commits(true);
  w.drop(s, 1);
  EXPECT_EQ(w.dropped_untaken(s), 1u);
  w.hold_commits(false);
  EXPECT_EQ(w.dropped_untaken(s), 0u);
}

// Another connection has the session by now, and was sent the message: it stays in flight there.
TEST(Expired, ANoticeOfAConnectionThatWasTakenOverTouchesNoOther) {
  World w;
  const int old = w.open_connected(subscriber(true, 10));
  w.feed(old, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 1);
  const int now = w.open_connected(subscriber(true, 10));
  EXPECT_EQ(heard(w, now), (Strings{"m1 dup"}));
  w.drop(old, 1);
  w.close(now);
  EXPECT_EQ(heard(w, w.open_connected(subscriber(true, 10))), (Strings{"m1 dup"}));
}

}  // namespace
}  // namespace berth::test
