// The Broker as a device sees it. Spec sections are MQTT 5.0 unless said otherwise.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;

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

}  // namespace
}  // namespace berth::test
