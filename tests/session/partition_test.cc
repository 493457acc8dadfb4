// Messages between partitions (ADR 10): what one broker would do, two do together, whichever of
// their engines dies at whatever boundary.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/support/partitions.h"

namespace berth::test {
namespace {

using Trace = std::vector<std::string>;

ConnectOptions device(const std::string& name, std::uint32_t partition, bool persistent = false) {
  ConnectOptions o{.client_id = Partitions::client(name, partition), .clean = !persistent};
  if (persistent) o.properties = expiry(600);
  return o;
}

int connected(Partitions& p, std::uint32_t partition, const std::string& name,
              bool persistent = false) {
  const int c = p[partition].open_connected(device(name, partition, persistent));
  p.run();
  p[partition].packets(c);
  return c;
}

void say(Partitions& p, std::uint32_t partition, int c, const std::string& bytes) {
  p[partition].feed(c, bytes);
  p.run();
}

std::vector<Packet> heard(Partitions& p, std::uint32_t partition, int c) {
  std::vector<Packet> all;
  for (bool more = true; more;) {  // acknowledging may bring more
    const auto got = p[partition].packets(c);
    more = !got.empty();
    for (const Packet& k : got) {
      if (k.type == 3 && k.qos() == 1) say(p, partition, c, ack(4, k.id()));
      if (k.type == 3 && k.qos() == 2) say(p, partition, c, ack(5, k.id()));
      if (k.type == 6) say(p, partition, c, ack(7, k.id()));
      all.push_back(k);
    }
  }
  return all;
}

std::string text(const Packet& k) {
  if (k.type != 3) return std::to_string(k.type);
  return k.topic() + "=" + k.payload(5) + " q" + std::to_string(k.qos()) +
         (k.retain() ? " ret" : "");
}

Trace texts(const std::vector<Packet>& all) {
  Trace t;
  for (const Packet& k : all) t.push_back(text(k));
  return t;
}

// QoS 1 may be doubled by a death; everything else may not.
Trace once(const Trace& in) {
  Trace out;
  for (const std::string& line : in) {
    const bool again = line.find(" q1") != std::string::npos &&
                       std::find(out.begin(), out.end(), line) != out.end();
    if (!again) out.push_back(line);
  }
  return out;
}

TEST(Partition, EveryQosReachesSubscribersElsewhereInOrder) {
  Partitions p;
  const int s = connected(p, 1, "s");
  say(p, 1, s, subscribe(1, "a/#", 2));
  EXPECT_EQ(texts(heard(p, 1, s)), Trace{"9"});
  const int d = connected(p, 0, "d");
  for (unsigned i = 1; i <= 6; ++i)
    say(p, 0, d, publish("a/b", std::to_string(i), i % 3, i % 3 == 0 ? 0 : i));
  const Trace got = texts(heard(p, 1, s));
  EXPECT_EQ(once(got).size(), got.size());
  Trace messages;
  std::copy_if(got.begin(), got.end(), std::back_inserter(messages),
               [](const std::string& m) { return m[0] == 'a'; });
  EXPECT_EQ(messages,
            (Trace{"a/b=1 q1", "a/b=2 q2", "a/b=3 q0", "a/b=4 q1", "a/b=5 q2", "a/b=6 q0"}));
  p[0].broker().refresh_gauges();
  EXPECT_EQ(p[0].probe().peer_queued, 0u) << "all is taken and acknowledged";
  EXPECT_EQ(p[0].probe().sessions, 1u) << "the other partition is no device";
}

TEST(Partition, PropertiesExpiryAndRetainFlagArrive) {
  Partitions p;
  const int s = connected(p, 1, "s");
  say(p, 1, s, subscribe(1, "a", 1 | 8));
  heard(p, 1, s);
  const int d = connected(p, 0, "d");
  const std::string user = std::string("\x26", 1) + str("k") + str("v");
  const std::string expires = std::string("\x02", 1) + u16(0) + u16(30);
  say(p, 0, d, publish("a", "x", 1, 1, 5, true, false, expires + user));
  const auto got = heard(p, 1, s);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(got[0].retain());
  EXPECT_EQ(got[0].properties(5), expires + user) << "the tag stays between the partitions";
}

TEST(Partition, ARouteIsKnownEverywhereBeforeItsSuback) {
  Partitions p;
  const int s = connected(p, 1, "s");
  p[1].feed(s, subscribe(1, "a", 1));
  EXPECT_TRUE(p[1].packets(s).empty()) << "the other partition has not been asked yet";
  p.run();
  EXPECT_EQ(texts(p[1].packets(s)), Trace{"9"});
  p[1].feed(s, subscribe(2, "a", 1));
  EXPECT_EQ(texts(p[1].packets(s)), Trace{"9"}) << "known already";
}

TEST(Partition, ASubscribeDoesNotWaitForEver) {
  Partitions p;
  const int s = connected(p, 1, "s", true);
  p[1].feed(s, subscribe(1, "a", 1));
  p[1].advance_s(4);
  EXPECT_TRUE(p[1].packets(s).empty());
  p[1].advance_s(2);
  EXPECT_EQ(texts(p[1].packets(s)), Trace{"9"});
  EXPECT_EQ(p[1].probe().route_waits_expired, 1u);
}

TEST(Partition, ASharedGroupGetsEachMessageOnce) {
  Partitions p;
  std::array<int, 2> s{connected(p, 0, "m"), connected(p, 1, "n")};
  for (std::uint32_t i = 0; i < 2; ++i) say(p, i, s[i], subscribe(1, "$share/g/t", 1));
  for (std::uint32_t i = 0; i < 2; ++i) heard(p, i, s[i]);
  const int d = connected(p, 0, "d");
  for (unsigned i = 1; i <= 20; ++i) say(p, 0, d, publish("t", std::to_string(i), i % 2, i));
  const Trace a = texts(heard(p, 0, s[0]));
  const Trace b = texts(heard(p, 1, s[1]));
  EXPECT_EQ(a.size() + b.size(), 20u);
  EXPECT_GT(a.size(), 4u);
  EXPECT_GT(b.size(), 4u);
  // The group leaves one partition: everything goes to the other.
  say(p, 1, s[1], unsubscribe(2, "$share/g/t"));
  heard(p, 1, s[1]);
  for (unsigned i = 21; i <= 30; ++i) say(p, 0, d, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(heard(p, 0, s[0]).size(), 10u);
}

TEST(Partition, RetainedMessagesAreEverywhereAndTheNewestIsKept) {
  Partitions p;
  const int a = connected(p, 0, "a");
  const int b = connected(p, 1, "b");
  say(p, 0, a, publish("r/1", "old", 0, 0, 5, true));
  say(p, 1, b, publish("r/1", "new", 1, 1, 5, true));
  say(p, 0, a, publish("r/2", "x", 2, 2, 5, true));
  say(p, 0, a, ack(6, 2));
  say(p, 1, b, publish("r/2", "", 1, 3, 5, true));
  for (std::uint32_t i = 0; i < 2; ++i) {
    const int s = connected(p, i, "s");
    say(p, i, s, subscribe(1, "r/#", 1));
    EXPECT_EQ(texts(heard(p, i, s)), (Trace{"9", "r/1=new q1 ret"})) << "partition " << i;
    p[i].restart_all(1000 + i);
    p.run();
    const int again = connected(p, i, "s");
    say(p, i, again, subscribe(1, "r/#", 1));
    EXPECT_EQ(texts(heard(p, i, again)), (Trace{"9", "r/1=new q1 ret"})) << "from the store " << i;
  }
}

// Both publish before either has heard of the other.
TEST(Partition, RetainedAtTheSameTimeEndsTheSameEverywhere) {
  Partitions p;
  const int a = connected(p, 0, "a");
  const int b = connected(p, 1, "b");
  p[0].feed(a, publish("r", "from a", 1, 1, 5, true));
  p[1].feed(b, publish("r", "from b", 1, 1, 5, true));
  p.run();
  std::array<Trace, 2> seen;
  for (std::uint32_t i = 0; i < 2; ++i) {
    const int s = connected(p, i, "s");
    say(p, i, s, subscribe(1, "r", 1));
    seen[i] = texts(heard(p, i, s));
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0].size(), 2u);
}

TEST(Partition, WillsGoEverywhere) {
  Partitions p;
  const int s = connected(p, 1, "s");
  say(p, 1, s, subscribe(1, "w", 1));
  heard(p, 1, s);
  ConnectOptions o = device("d", 0);
  o.will_topic = "w";
  o.will_payload = "gone";
  o.will_qos = 1;
  const int d = p[0].open_connected(o);
  p[0].close(d);
  p.run();
  EXPECT_EQ(texts(heard(p, 1, s)), Trace{"w=gone q1"});
}

TEST(Partition, RoutesThatNobodyNeedsAnyMoreAreTakenBack) {
  Partitions p;
  const int s = connected(p, 1, "s");
  say(p, 1, s, subscribe(1, "a", 1));
  say(p, 1, s, unsubscribe(2, "a"));
  heard(p, 1, s);
  const int d = connected(p, 0, "d");
  say(p, 0, d, publish("a", "x", 1, 1));
  EXPECT_EQ(p[1].probe().peer_received, 1u) << "kept a while: devices come back";
  for (int i = 0; i < 70; ++i) p[1].advance_s(1);
  p.run();
  say(p, 0, d, publish("a", "x", 1, 2));
  EXPECT_EQ(p[1].probe().peer_received, 1u);
}

// A session's filters that were lost with the engine (expiry 0, its edge too) do not stay.
TEST(Partition, ANewConnectionSaysWhatIsStillWanted) {
  Partitions p;
  const int s = connected(p, 1, "s");
  say(p, 1, s, subscribe(1, "a", 1));
  heard(p, 1, s);
  p[1].restart_all(500);
  p.run();
  const int d = connected(p, 0, "d");
  say(p, 0, d, publish("a", "x", 1, 1));
  EXPECT_EQ(p[1].probe().peer_received, 0u);
}

TEST(Partition, WhatIsRetainedBeforeAPartitionFirstComesWaitsForIt) {
  session::BrokerOptions o;
  o.partitions = 2;
  World alone(o);
  const int d = alone.open_connected(device("d", 0));
  alone.feed(d, publish("r", "x", 0, 0, 5, true));
  alone.crash();
  const int peer = alone.open_connected(
      {.client_id = "$peer/1", .clean = false, .properties = expiry(0xffffffff)}, 1);
  const auto got = alone.packets(peer);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].body[0], 1) << "session present";
  EXPECT_EQ(got[1].payload(5), "x");
}

TEST(Partition, OthersMayNotTakeThePlaceOfAPartition) {
  Partitions p;
  const int c = p[0].open_connected({.client_id = "$peer/1"});
  const auto got = p[0].packets(c);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(static_cast<unsigned char>(got[0].body[1]), 0x85) << "client identifier not valid";
}

TEST(Partition, WithoutAPartnerMessagesWaitInTheStore) {
  Partitions p;
  const int s = connected(p, 1, "s", true);
  say(p, 1, s, subscribe(1, "a", 1));
  heard(p, 1, s);
  const int d = connected(p, 0, "d");
  for (unsigned i = 1; i <= 5; ++i) p[0].feed(d, publish("a", std::to_string(i), 1, i));
  EXPECT_EQ(p[0].packets(d).size(), 5u) << "acknowledged: they are durable here";
  p[0].crash();
  p.cut(1);
  EXPECT_EQ(once(texts(heard(p, 1, s))), (Trace{"a=1 q1", "a=2 q1", "a=3 q1", "a=4 q1", "a=5 q1"}));
}

// -- deaths at every boundary

void at_every_boundary(const std::function<Trace(Partitions&)>& scenario) {
  Partitions undisturbed;
  const Trace expected = once(scenario(undisturbed));
  ASSERT_FALSE(expected.empty());
  for (const int dies : {0, 1}) {
    for (const int breaks : {-1, 0, 1}) {
      int deaths = 0;
      for (int at = 0;; ++at) {
        Partitions p(dies, at, breaks);
        const Trace seen = once(scenario(p));
        if (!p.crashed()) break;
        ++deaths;
        ASSERT_EQ(seen, expected) << "partition " << dies << (breaks < 0 ? " dies" : " loses link ")
                                  << breaks << " at boundary " << at;
      }
      EXPECT_GT(deaths, 10);
    }
  }
}

TEST(PartitionCrash, MessagesOfQos1And2ToPersistentAndOtherSessions) {
  at_every_boundary([](Partitions& p) {
    const int s = connected(p, 1, "s", true);
    const int v = connected(p, 1, "v");
    const int d = connected(p, 0, "d", true);
    say(p, 1, s, subscribe(1, "a/#", 2));
    say(p, 1, v, subscribe(1, "a/#", 1));
    say(p, 0, d, publish("a/1", "one", 1, 1));
    say(p, 0, d, publish("a/1", "two", 2, 2));
    say(p, 0, d, ack(6, 2));
    say(p, 0, d, publish("a/2", "three", 1, 3));
    Trace t;
    for (const int c : {s, v}) {
      const Trace got = texts(heard(p, 1, c));
      t.insert(t.end(), got.begin(), got.end());
    }
    const Trace acks = texts(p[0].packets(d));
    t.insert(t.end(), acks.begin(), acks.end());
    return t;
  });
}

TEST(PartitionCrash, SharedAndRetained) {
  at_every_boundary([](Partitions& p) {
    const int s = connected(p, 1, "s", true);
    const int d = connected(p, 0, "d");
    say(p, 1, s, subscribe(1, "$share/g/a", 2));
    say(p, 0, d, publish("a", "one", 1, 1));
    say(p, 0, d, publish("r", "kept", 1, 2, 5, true));
    say(p, 0, d, publish("r", "kept longer", 1, 3, 5, true));
    const int l = connected(p, 1, "l", true);
    say(p, 1, l, subscribe(1, "r", 1));
    Trace t = texts(heard(p, 1, s));
    for (const std::string& line : texts(heard(p, 1, l))) t.push_back(line);
    std::sort(t.begin(), t.end());
    return t;
  });
}

}  // namespace
}  // namespace berth::test
