// Messages that an earlier connection was sent, or may have been sent: DUP, drop_oldest, expiry and
// the other members of a shared subscription.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/world.h"

namespace berth::test {
namespace {

using Strings = std::vector<std::string>;

std::string window(unsigned n) {
  return std::string("\x21", 1) + u16(n);  // Receive Maximum
}
ConnectOptions stored(const std::string& id, const std::string& properties = {}) {
  return {.client_id = id, .clean = false, .properties = expiry(600) + properties};
}

void say(World& w, const std::string& topic, unsigned qos, unsigned from, unsigned to,
         const std::string& properties = {}) {
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = from; i <= to; ++i) {
    w.feed(p, publish(topic, "m" + std::to_string(i), qos, i, 5, false, false, properties));
    if (qos == 2) w.feed(p, ack(6, i));
  }
  w.close(p);
}

TEST(SentBefore, IsKnownOverAConnectionThatDidNotComeSoFar) {
  World w;
  int s = w.open_connected(stored("s"));
  w.feed(s, subscribe(1, "t", 1));
  say(w, "t", 1, 1, 4);
  EXPECT_EQ(heard(w, s), (Strings{"m1", "m2", "m3", "m4"}));
  w.close(s);
  s = w.open_connected(stored("s", window(1)));
  EXPECT_EQ(heard(w, s), (Strings{"m1 dup"}));
  w.close(s);
  s = w.open_connected(stored("s"));
  EXPECT_EQ(heard(w, s), (Strings{"m1 dup", "m2 dup", "m3 dup", "m4 dup"}));
}

TEST(SentBefore, AQos2MessageReachesOneMemberOnly) {
  World w;
  const int b = w.open_connected(stored("b"));
  w.feed(b, subscribe(1, "$share/g/t", 2));
  w.close(b);
  int a = w.open_connected(stored("a"));
  w.feed(a, subscribe(1, "$share/g/t", 2));
  say(w, "t", 2, 1, 4);
  EXPECT_EQ(heard(w, a).size(), 4u);
  w.close(a);
  a = w.open_connected(stored("a", window(1)));
  w.close(a);
  w.open_connected({.client_id = "a"});  // its session ends
  EXPECT_EQ(heard(w, w.open_connected(stored("b"))), Strings{});
}

TEST(SentBefore, IsNotDroppedByAFullQueue) {
  session::BrokerOptions o;
  o.queue_messages_max = 5;
  World w(o);
  int s = w.open_connected(stored("s"));
  w.feed(s, subscribe(1, "t", 2));
  say(w, "t", 2, 1, 3);
  Strings sent = heard(w, s);
  EXPECT_EQ(sent.size(), 3u);
  w.close(s);
  s = w.open_connected(stored("s", window(1)));
  say(w, "t", 2, 4, 12);
  Strings again;
  for (bool more = true; more;) {
    more = false;
    for (const Packet& p : w.packets(s)) {
      if (p.type == 3) again.push_back(p.payload(5) + (p.dup() ? " dup" : ""));
      if (p.type == 3 || p.type == 6) w.feed(s, ack(p.type == 3 ? 5 : 7, p.id()));
      more = more || p.type == 3 || p.type == 6;
    }
  }
  ASSERT_GE(again.size(), 3u);
  again.resize(3);
  EXPECT_EQ(again, (Strings{"m1 dup", "m2 dup", "m3 dup"}));
}

// After the death of edge and engine nobody knows how far the connection had come (I7).
TEST(SentBefore, WhatHasExpiredAndMayNotHaveBeenSentIsNotSent) {
  World w;
  int s = w.open_connected(stored("s", window(1)));
  w.feed(s, subscribe(1, "t", 1));
  say(w, "t", 1, 1, 3, std::string("\x02\x00\x00\x00\x02", 5));  // expires after 2 s
  EXPECT_EQ(heard(w, s), (Strings{"m1"}));
  w.restart_all(7);
  w.advance_s(4);
  s = w.open_connected(stored("s"));
  EXPECT_EQ(heard(w, s), Strings{});
  say(w, "t", 1, 4, 4);
  EXPECT_EQ(heard(w, s), (Strings{"m4"}));
}

TEST(SentBefore, WhatWasSentInTimeIsSentAgain) {
  World w;
  int s = w.open_connected(stored("s"));
  w.feed(s, subscribe(1, "t", 1));
  say(w, "t", 1, 1, 1, std::string("\x02\x00\x00\x00\x02", 5));
  EXPECT_EQ(heard(w, s), (Strings{"m1"}));
  w.close(s);
  w.restart_all(7);
  w.advance_s(4);
  EXPECT_EQ(heard(w, w.open_connected(stored("s"))), (Strings{"m1 dup"}));
}

// A member of expiry 0 whose connection is ending gets nothing any more; the other one does.
TEST(SharedMember, WhoseConnectionIsEndingIsNotChosen) {
  for (const bool says_disconnect : {true, false}) {
    World w;
    int b = w.open_connected(stored("b"));
    w.feed(b, subscribe(1, "$share/g/t", 1));
    w.close(b);
    const int a = w.open_connected({.client_id = "a"});
    w.feed(a, subscribe(1, "$share/g/t", 1));
    const int p = w.open_connected({.client_id = "p"});
    w.packets(a);
    w.hold_commits(true);
    w.feed(p, publish("t", "before", 1, 1));  // staged for `a`
    w.feed(a, says_disconnect ? disconnect() : std::string("\xf0\x00", 2));
    w.feed(p, publish("t", "after", 1, 2));
    w.hold_commits(false);
    const Strings to_a = heard(w, a);
    b = w.open_connected(stored("b"));
    Strings all = heard(w, b);
    all.insert(all.end(), to_a.begin(), to_a.end());
    EXPECT_EQ(all.size(), 2u) << says_disconnect;
  }
}

// An alias is known to a device when the message that brought it was sent.
TEST(Alias, OfAMessageThatIsTooLargeIsNotGiven) {
  World w;
  const std::string small = std::string("\x27\x00\x00\x00\xc8", 5);  // 200 bytes
  const int c =
      w.open_connected({.client_id = "c", .properties = small + std::string("\x22\x00\x0a", 3)});
  w.feed(c, subscribe(1, "t", 0));
  w.packets(c);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", std::string(500, 'x'), 0) + publish("t", "a", 0) + publish("t", "b", 0));
  Strings topics;
  for (const Packet& k : w.packets(c)) topics.push_back(k.topic());
  EXPECT_EQ(topics, (Strings{"t", ""}));
}

TEST(Subscriptions, AFilterThatASessionHasIsNoNewOne) {
  session::BrokerOptions o;
  o.subscriptions_max = 2;
  World w(o);
  const int c = w.open_connected({.client_id = "c"});
  w.feed(c, subscribe(1, "a", 0) + subscribe(2, "b", 0) + subscribe(3, "a", 1));
  w.feed(c, subscribe(4, "c", 0));
  Strings codes;
  for (const Packet& k : w.packets(c)) {
    if (k.type == 9) codes.push_back(std::to_string(static_cast<unsigned char>(k.body.back())));
  }
  EXPECT_EQ(codes, (Strings{"0", "0", "1", "151"}));
}

}  // namespace
}  // namespace berth::test
