// The Broker as a device sees it. Spec sections are MQTT 5.0 unless said otherwise.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/world.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;

// The only packet of `type`, or an empty one.
Packet only(const std::vector<Packet>& all, unsigned type) {
  Packet found;
  int n = 0;
  for (const auto& p : all) {
    if (p.type == type) {
      found = p;
      ++n;
    }
  }
  EXPECT_EQ(n, 1) << "packets of type " << type;
  return found;
}
std::vector<std::string> payloads(const std::vector<Packet>& all, int version = 5) {
  std::vector<std::string> out;
  for (const auto& p : all) {
    if (p.type == 3) out.push_back(p.payload(version));
  }
  return out;
}
using Strings = std::vector<std::string>;

TEST(Connect, GetsOneConnackWithWhatTheServerChose) {
  World w;
  const int c = w.open_connected({.client_id = "", .properties = expiry(0)});
  const Packet ack = only(w.packets(c), 2);
  EXPECT_EQ(ack.body[1], 0);
  EXPECT_NE(ack.body.find("\x12"), std::string::npos) << "assigned client id, 3.2.2.3.7";
}

TEST(Connect, SecondConnectIsAProtocolError) {  // 3.1.0-2
  World w;
  const int c = w.open_connected({});
  w.packets(c);
  w.feed(c, connect({}));
  EXPECT_EQ(only(w.packets(c), 14).body[0], '\x82');
  EXPECT_TRUE(w.ended(c));
}

TEST(Connect, AnythingBeforeConnectEndsTheConnection) {  // 3.1.0-1
  World w;
  const int c = w.open();
  w.feed(c, pingreq());
  EXPECT_TRUE(w.ended(c));
  EXPECT_TRUE(w.packets(c).empty());
}

TEST(Connect, EnhancedAuthenticationIsRefusedWith8C) {
  World w;
  const int c = w.open_connected({.properties = std::string("\x15") + str("SCRAM")});
  EXPECT_EQ(only(w.packets(c), 2).body[1], '\x8c');
  EXPECT_TRUE(w.ended(c));
}

TEST(Connect, TakeOverEndsTheOldConnectionWith8E) {  // 3.1.4-3
  World w;
  const int a = w.open_connected({.client_id = "x"});
  w.packets(a);
  const int b = w.open_connected({.client_id = "x"});
  EXPECT_EQ(only(w.packets(a), 14).body[0], '\x8e');
  EXPECT_TRUE(w.ended(a));
  EXPECT_FALSE(w.ended(b));
}

TEST(Publish, QosIsTheLowerOfBothSides) {
  for (unsigned pub = 0; pub < 3; ++pub) {
    for (unsigned sub = 0; sub < 3; ++sub) {
      World w;
      const int s = w.open_connected({.client_id = "s"});
      w.feed(s, subscribe(1, "a/+", sub));
      w.packets(s);
      const int p = w.open_connected({.client_id = "p"});
      w.feed(p, publish("a/b", "m", pub, 9));
      const Packet got = only(w.packets(s), 3);
      EXPECT_EQ(got.qos(), std::min(pub, sub));
      EXPECT_EQ(got.payload(5), "m");
    }
  }
}

TEST(Publish, Qos2IsDeliveredOnceThoughSentAgain) {  // 4.3.3-10
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "t", 2));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "m", 2, 5));
  w.feed(p, publish("t", "m", 2, 5, 5, false, true));
  w.feed(p, ack(6, 5));
  EXPECT_EQ(payloads(w.packets(s)), Strings{"m"});
  w.feed(p, publish("t", "n", 2, 5));  // after PUBREL the id is free again
  EXPECT_EQ(payloads(w.packets(s)), Strings{"n"});
}

TEST(Publish, ReceiveMaximumOfTheDeviceIsKept) {  // 3.3.4-9
  World w;
  const int s = w.open_connected({.client_id = "s", .properties = from_hex("21 00 02")});
  w.feed(s, subscribe(1, "t", 1));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 5; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(payloads(w.packets(s)), (Strings{"1", "2"}));
  w.feed(s, ack(4, 1));
  EXPECT_EQ(payloads(w.packets(s)), Strings{"3"});
  w.feed(s, ack(4, 3));
  w.feed(s, ack(4, 2));
  EXPECT_EQ(payloads(w.packets(s)), (Strings{"4", "5"}));
}

TEST(Publish, TopicAliasStandsForTheTopic) {  // 3.3.2.3.4
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "long/topic", 0));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("long/topic", "1", 0, 0, 5, false, false, from_hex("23 00 03")));
  w.feed(p, publish("", "2", 0, 0, 5, false, false, from_hex("23 00 03")));
  EXPECT_EQ(payloads(w.packets(s)), (Strings{"1", "2"}));
  w.feed(p,
         publish("", "3", 0, 0, 5, false, false, from_hex("23 00 11")));  // above the maximum of 16
  EXPECT_TRUE(w.ended(p));
}

TEST(Publish, UserPropertiesPassAndMessageExpiryCountsDown) {  // 3.3.2.3.3, .7
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 1));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  const std::string user = from_hex("26") + str("k") + str("v");
  w.feed(p, publish("t", "m", 1, 1, 5, false, false, from_hex("02 00 00 00 0a") + user));
  w.advance_s(4);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  const Packet got = only(w.packets(s2), 3);
  EXPECT_EQ(got.properties(5), from_hex("02 00 00 00 06") + user);
  w.close(s2);
  w.feed(p, publish("t", "late", 1, 2, 5, false, false, from_hex("02 00 00 00 02")));
  w.advance_s(3);
  const int s3 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  EXPECT_EQ(payloads(w.packets(s3)), Strings{"m"})
      << "the expired one is gone, the unacknowledged comes again";
}

TEST(Publish, OverlappingFiltersBringOneCopyWithAllIdentifiers) {
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "a/#", 0, 5, from_hex("0b 01")));
  w.feed(s, subscribe(2, "a/b", 1, 5, from_hex("0b 02")));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("a/b", "m", 1, 1));
  const Packet got = only(w.packets(s), 3);
  EXPECT_EQ(got.qos(), 1u);
  const std::string ids = got.properties(5);
  EXPECT_NE(ids.find(from_hex("0b 01")), std::string::npos);
  EXPECT_NE(ids.find(from_hex("0b 02")), std::string::npos);
}

TEST(Publish, NoLocalKeepsOwnMessagesAway) {  // 3.8.3-3
  World w;
  const int c = w.open_connected({});
  w.feed(c, subscribe(1, "t", 4 | 1));
  w.packets(c);
  w.feed(c, publish("t", "m", 1, 1));
  EXPECT_TRUE(payloads(w.packets(c)).empty());
}

TEST(Publish, TooManyInFlightAreRefusedWith93) {  // 3.3.4-7
  session::BrokerOptions o;
  o.receive_maximum = 2;
  World w(o);
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.packets(p);
  w.hold_commits(true);
  for (unsigned i = 1; i <= 3; ++i) w.feed(p, publish("t", "m", 1, i));
  EXPECT_EQ(only(w.packets(p), 14).body[0], '\x93');
}

// Receive Maximum begins anew with each connection; the ids that a stored session keeps do not.
TEST(Publish, Qos2IdsOfAStoredSessionAreBoundedOverReconnects) {
  session::BrokerOptions o;
  o.receive_maximum = 4;
  for (const int version : {5, 4}) {
    World w(o);
    const ConnectOptions stored{.client_id = "p",
                                .version = static_cast<std::uint8_t>(version),
                                .clean = false,
                                .properties = version == 5 ? expiry(600) : std::string()};
    for (unsigned first = 1; first <= 3; first += 2) {
      const int p = w.open_connected(stored);
      w.packets(p);
      for (unsigned i = first; i < first + 2; ++i) w.feed(p, publish("t", "m", 2, i, version));
      for (const Packet& k : w.packets(p)) EXPECT_EQ(k.type, 5);
      w.close(p);
    }
    const int p = w.open_connected(stored);
    w.packets(p);
    w.feed(p, publish("t", "m", 2, 4, version, false, true));
    EXPECT_EQ(w.packets(p).size(), 1u) << "a known id";
    w.feed(p, publish("t", "m", 2, 5, version));
    EXPECT_EQ(w.probe().drop_quota, 1u);
    const auto got = w.packets(p);
    if (version == 4) {
      EXPECT_TRUE(w.ended(p));
      continue;
    }
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].type, 5);
    EXPECT_EQ(got[0].body[2], '\x97');
    w.feed(p, ack(6, 1));
    w.packets(p);
    w.feed(p, publish("t", "m", 2, 5, version));
    const auto again = w.packets(p);
    ASSERT_EQ(again.size(), 1u);
    EXPECT_TRUE(again[0].body.size() < 3 || static_cast<unsigned char>(again[0].body[2]) < 0x80)
        << "room again";
  }
}

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

TEST(Shared, EachMessageGoesToOneMember) {  // 4.8.2
  World w;
  std::vector<int> subs;
  for (int i = 0; i < 3; ++i) {
    subs.push_back(w.open_connected({.client_id = "s" + std::to_string(i)}));
    w.feed(subs.back(), subscribe(1, "$share/g/t/#", 1));
    w.packets(subs.back());
  }
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 9; ++i) w.feed(p, publish("t/x", "m", 1, i));
  std::size_t total = 0;
  for (const int s : subs) {
    const std::size_t n = payloads(w.packets(s)).size();
    EXPECT_EQ(n, 3u);
    total += n;
  }
  EXPECT_EQ(total, 9u);
}

TEST(Session, SubscriptionIdentifiersCountInItsQueue) {
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(600)});
  const Strings filters{"a/b/c", "#", "a/#", "a/b/#", "a/b/c/#", "+/b/c", "a/+/c", "a/b/+"};
  for (unsigned i = 0; i < filters.size(); ++i)
    w.feed(s, subscribe(i + 1, filters[i], 1, 5, from_hex("0b ff ff ff 7f")));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("a/b/c", "m", 1, 1));
  w.broker().refresh_gauges();
  EXPECT_EQ(w.probe().queued, 1u);
  EXPECT_GE(w.probe().queued_bytes_now, 16 + 5 + 1 + 4 * filters.size());
}

TEST(Session, QueueOfAnOfflineSessionIsKeptInOrder) {
  World w;
  const int s = w.open_connected({.client_id = "s", .version = 4, .clean = false});
  w.feed(s, subscribe(1, "t", 1, 4));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  Strings sent;
  for (unsigned i = 1; i <= 700; ++i) {
    sent.push_back(std::to_string(i));
    w.feed(p, publish("t", sent.back(), 1, i));
  }
  const int s2 = w.open_connected({.client_id = "s", .version = 4, .clean = false});
  std::vector<Packet> all = w.packets(s2);
  EXPECT_EQ(only(all, 2).body[0], 1) << "session present";
  EXPECT_EQ(payloads(all, 4), sent);
  for (const auto& m : all) {
    if (m.type == 3) w.feed(s2, ack(4, m.id()));
  }
  w.close(s2);
  const int s3 = w.open_connected({.client_id = "s", .version = 4, .clean = false});
  EXPECT_TRUE(payloads(w.packets(s3), 4).empty());
}

TEST(Session, UnacknowledgedIsSentAgainWithDupAndItsPacketId) {  // 4.4.0-1, 3.3.1-1
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 2));
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "a", 1, 1));
  w.feed(p, publish("t", "b", 2, 2));
  w.packets(s);
  w.feed(s, ack(5, 2));  // PUBREC for "b"
  EXPECT_EQ(only(w.packets(s), 6).id(), 2u);
  w.close(s);
  w.feed(p, publish("t", "c", 1, 3));
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  const auto all = w.packets(s2);
  ASSERT_EQ(payloads(all), (Strings{"a", "c"}));
  EXPECT_EQ(only(all, 6).id(), 2u) << "PUBREL again, not the message";
  for (const auto& m : all) {
    if (m.type != 3) continue;
    EXPECT_EQ(m.dup(), m.payload(5) == "a");
  }
}

TEST(Session, PacketIdsGoOnAfterARestartOfEverything) {
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "old", 1, 1));
  const unsigned old_id = only(w.packets(s), 3).id();
  w.restart_all(78);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  const int p2 = w.open_connected({.client_id = "p"});
  w.feed(p2, publish("t", "new", 1, 1));
  unsigned new_id = 0;
  for (const auto& m : w.packets(s2)) {
    if (m.type != 3) continue;
    if (m.payload(5) == "old") {
      EXPECT_EQ(m.id(), old_id);
      EXPECT_TRUE(m.dup());
    } else {
      new_id = m.id();
    }
  }
  EXPECT_NE(new_id, 0u);
  EXPECT_NE(new_id, old_id);
}

TEST(Session, EndsWithItsExpiry) {  // 3.1.2-23, 4.1.0-2
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(10)});
  w.close(s);
  w.advance_s(11);
  EXPECT_EQ(w.broker().find_session("s"), nullptr);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(10)});
  EXPECT_EQ(only(w.packets(s2), 2).body[0], 0);
}

TEST(Session, FullQueueDropsTheOldestAndCounts) {
  session::BrokerOptions o;
  o.queue_messages_max = 3;
  World w(o);
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 1));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 5; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(w.probe().drop_queue_full, 2u);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  EXPECT_EQ(payloads(w.packets(s2)), (Strings{"3", "4", "5"}));
}

TEST(Session, SendQuotaIsThatOfTheNewConnection) {
  World w;
  ConnectOptions o{
      .client_id = "s", .clean = false, .properties = expiry(100) + from_hex("21 00 02")};
  const int s = w.open_connected(o);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 10; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(payloads(w.packets(s)).size(), 2u);
  w.close(s);
  o.properties = expiry(100) + from_hex("21 00 06");
  const int again = w.open_connected(o);
  EXPECT_EQ(payloads(w.packets(again)), (Strings{"1", "2", "3", "4", "5", "6"}));
}

TEST(Session, TakeOverWhileTheBacklogDrainsLosesNothing) {
  World w;
  const ConnectOptions o{
      .client_id = "s", .clean = false, .properties = expiry(100) + from_hex("21 00 14")};
  w.close([&] {
    const int s = w.open_connected(o);
    w.feed(s, subscribe(1, "t", 1));
    return s;
  }());
  const int p = w.open_connected({.client_id = "p"});
  Strings sent;
  for (unsigned i = 1; i <= 900; ++i) {
    sent.push_back(std::to_string(i));
    w.feed(p, publish("t", sent.back(), 1, i));
  }
  Strings got;
  for (int round = 0; got.size() < sent.size() && round < 200; ++round) {
    const int c = w.open_connected(o);  // takes over the one before, in the middle of its window
    const auto all = w.packets(c);
    for (const auto& m : all) {
      if (m.type != 3) continue;
      if (std::find(got.begin(), got.end(), m.payload(5)) == got.end()) got.push_back(m.payload(5));
      if (m.id() % 3 != 0 || round % 2 == 1) w.feed(c, ack(4, m.id()));
    }
  }
  EXPECT_EQ(got, sent);
}

TEST(Publish, OutboundAliasReplacesTheTopicOnceKnown) {  // 3.3.2.3.4
  World w;
  const int s = w.open_connected({.client_id = "s", .properties = from_hex("22 00 01")});
  w.feed(s, subscribe(1, "#", 0));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  for (const char* topic : {"a", "a", "b", "a"}) w.feed(p, publish(topic, "m", 0));
  const auto all = w.packets(s);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].topic(), "a");
  EXPECT_EQ(all[0].properties(5), from_hex("23 00 01"));
  EXPECT_EQ(all[1].topic(), "");
  EXPECT_EQ(all[1].properties(5), from_hex("23 00 01"));
  EXPECT_EQ(all[2].topic(), "b") << "no second alias: the maximum is 1";
  EXPECT_EQ(all[2].properties(5), "");
  EXPECT_EQ(all[3].topic(), "");
}

TEST(Will, IsPublishedUnlessTheDeviceSaidGoodbye) {  // 3.1.2-8, -10
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "w", 0));
  w.packets(s);
  const ConnectOptions device{.client_id = "d", .will_topic = "w", .will_payload = "gone"};
  w.close(w.open_connected(device), CloseReason::keepalive_timeout);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"gone"});
  const int d = w.open_connected(device);
  w.feed(d, disconnect());
  EXPECT_TRUE(w.ended(d));
  EXPECT_TRUE(payloads(w.packets(s)).empty());
}

TEST(Will, DelayIsCancelledByAReconnect) {  // 3.1.3-9
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "w", 0));
  w.packets(s);
  const ConnectOptions device{.client_id = "d",
                              .clean = false,
                              .properties = expiry(100),
                              .will_topic = "w",
                              .will_payload = "gone",
                              .will_properties = from_hex("18 00 00 00 05")};
  w.close(w.open_connected(device));
  w.advance_s(2);
  const int d = w.open_connected(device);
  w.advance_s(10);
  EXPECT_TRUE(payloads(w.packets(s)).empty());
  w.close(d);
  w.advance_s(6);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"gone"});
}

// A will whose publication ends engines is no connection's: it is named by its intent, and passed
// over by an engine that was told so before it had begun.
TEST(Will, I12_OneThatKillsEnginesIsNamedAndLeftOut) {
  for (const bool skipped : {false, true}) {
    World w;
    const int s = w.open_connected({.client_id = "s"});
    w.feed(s, subscribe(1, "w", 0));
    w.packets(s);
    const int d = w.open_connected({.client_id = "d", .will_topic = "w", .will_payload = "gone"});
    w.hold_commits(true);
    w.close(d);
    if (skipped) {
      w.before_serving([&] {
        w.broker().skip_forwarded({protocol::link::ForwardedWork::kWillSource, 1});
      });
    }
    w.crash_when_committed();
    w.hold_commits(false);
    EXPECT_TRUE(w.crashed());
    EXPECT_EQ(payloads(w.packets(s)), skipped ? Strings{} : Strings{"gone"});
    EXPECT_EQ(w.probe().wills_skipped, skipped ? 1u : 0u);
    w.crash();
    EXPECT_TRUE(payloads(w.packets(s)).empty()) << "the intent is gone";
  }
}

TEST(WorksFor, ScopesNestAndTheOuterWordComesBack) {
  session::Work work;
  {
    const session::WorksFor outer(work, base::ConnId{7, 1});
    {
      const session::WorksFor inner(work, base::ConnId{8, 1});
      EXPECT_EQ(work.word(), (base::ConnId{8, 1}.packed()));
      const session::WorksFor nobody(work, base::kNoConn);
      EXPECT_EQ(work.word(), (base::ConnId{8, 1}.packed()));
    }
    EXPECT_EQ(work.word(), (base::ConnId{7, 1}.packed()));
  }
  EXPECT_EQ(work.word(), 0u);
}

TEST(Will, I6_OurOwnRestartFiresNoneWithinTheGrace) {
  World w;
  const ConnectOptions device{.client_id = "d", .will_topic = "w", .will_payload = "gone"};
  w.open_connected(device);
  w.open_connected({.client_id = "e", .will_topic = "w", .will_payload = "e gone"});
  w.restart_all(78);
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "w", 0));
  w.packets(s);
  w.open_connected(device);  // came back
  w.advance_s(59);
  EXPECT_TRUE(payloads(w.packets(s)).empty());
  w.advance_s(2);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"e gone"}) << "who stays away is gone after all";
}

TEST(Store, NothingIsAcknowledgedBeforeItsCommit) {  // I1
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  const int q = w.open_connected({.client_id = "q"});
  w.feed(q, subscribe(1, "other", 0));
  w.packets(s);
  w.packets(p);
  w.packets(q);
  w.hold_commits(true);
  w.feed(p, publish("t", "m", 1, 1));
  EXPECT_TRUE(w.packets(p).empty());
  EXPECT_TRUE(w.packets(s).empty());
  const int r = w.open_connected({.client_id = "r"});
  w.packets(r);
  w.feed(r, publish("other", "flows", 0));
  EXPECT_EQ(payloads(w.packets(q)), Strings{"flows"}) << "QoS 0 of others is not held up";
  w.hold_commits(false);
  EXPECT_EQ(only(w.packets(p), 4).id(), 1u);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"m"});
}

TEST(Store, EffectsKeepTheOrderOfInputs) {  // I3: inputs take effect in order
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int v = w.open_connected({.client_id = "v"});
  w.feed(v, subscribe(1, "#", 0));
  w.packets(v);
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("t", "1", 1, 1) + publish("u", "2", 0) + publish("t", "3", 1, 2));
  EXPECT_TRUE(payloads(w.packets(v)).empty());
  w.hold_commits(false);
  EXPECT_EQ(payloads(w.packets(v)), (Strings{"1", "2", "3"}));
}

// What is dropped while a connected session's queue is being read from the store leaves a hole
// there, which is passed over. (It made the engine read the queue for ever.)
TEST(Delivery, DroppedWhileTheQueueIsRead) {
  session::BrokerOptions o;
  o.queue_messages_max = 12;
  o.queue_bytes_max = 100u << 20;
  o.packet_max = 1u << 20;
  World w(o);
  const std::string receive_maximum = std::string("\x21", 1) + u16(4);
  const int c = w.open_connected(
      {.client_id = "c", .clean = false, .properties = expiry(600) + receive_maximum});
  w.feed(c, subscribe(1, "t", 1));
  const std::string large(300'000, 'x');  // four of them fill what is kept in memory
  const auto say = [&](unsigned id) { return publish("t", std::to_string(id) + large, 1, id); };
  for (unsigned id = 1; id <= 12; ++id) w.feed(c, say(id));
  std::string next;  // what is in memory is acknowledged, the rest is being read, more comes
  for (unsigned id = 1; id <= 7; ++id) next += ack(4, id);
  for (unsigned id = 13; id <= 22; ++id) next += say(id);
  w.packets(c);
  w.feed(c, next);
  std::vector<std::string> got;
  for (bool more = true; more;) {
    more = false;
    for (const Packet& p : w.packets(c)) {
      if (p.type != 3) continue;
      more = true;
      got.push_back(p.payload(5).substr(0, 2));
      w.feed(c, ack(4, p.id()));
    }
  }
  EXPECT_GE(got.size(), 12u);
  EXPECT_TRUE(std::is_sorted(got.end() - 12, got.end()));
  EXPECT_EQ(got.back(), "22");
  EXPECT_GT(w.probe().drop_queue_full, 2u);
}

}  // namespace
}  // namespace berth::test
