// What ends a connection, and what is never said to a device. Sections are
// MQTT 5.0.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/world.h"

namespace berth::test {
namespace {

std::string ack_with(unsigned type, unsigned id, unsigned reason) {
  return packet(type << 4 | (type == 6 ? 2u : 0u), u16(id) + static_cast<char>(reason));
}
std::string maximum_packet_size(std::uint32_t n) {
  return std::string("\x27", 1) + u16(n >> 16) + u16(n & 0xffff);
}

bool ends(const std::string& bytes, int version = 5) {
  World w;
  const int c = w.open_connected({.version = version});
  w.feed(c, bytes);
  return w.ended(c);
}

TEST(Acknowledgements,
     WithUndefinedReasonCodesEndTheConnection) {  // 3.4.2.1 ff.
  for (const unsigned type : {4u, 5u, 6u, 7u}) {
    EXPECT_TRUE(ends(ack_with(type, 1, 0x01)));
    EXPECT_TRUE(ends(ack_with(type, 1, 0x04)));
    EXPECT_TRUE(ends(ack_with(type, 1, 0xff)));
    EXPECT_FALSE(ends(ack_with(type, 1, 0x00)));
    const bool first = type == 4 || type == 5;
    EXPECT_EQ(ends(ack_with(type, 1, 0x92)), first);
    EXPECT_EQ(ends(ack_with(type, 1, 0x10)), !first);
    EXPECT_EQ(ends(ack_with(type, 1, 0x97)), !first);
  }
}

TEST(Acknowledgements, WithPacketId0EndTheConnection) {  // 2.2.1-3
  for (const unsigned type : {4u, 5u, 6u, 7u}) {
    EXPECT_TRUE(ends(ack(type, 0)));
    EXPECT_TRUE(ends(ack(type, 0), 4));
  }
}

TEST(Acknowledgements, OfTheWrongTypeEndTheConnection) {  // 4.3.2, 4.3.3
  struct Case {
    unsigned qos;
    unsigned type;
    bool ends;
  };
  for (const Case c :
       {Case{1, 4, false}, {1, 5, true}, {1, 7, true}, {2, 4, true}, {2, 5, false}}) {
    for (const bool clean : {true, false}) {
      World w;
      const int s = w.open_connected(
          {.client_id = "s", .clean = clean, .properties = expiry(clean ? 0 : 60)});
      w.feed(s, subscribe(1, "t", 2));
      w.feed(s, publish("t", "x", c.qos, 1));
      const auto got = w.packets(s);
      const auto it =
          std::find_if(got.begin(), got.end(), [](const auto& p) { return p.type == 3; });
      ASSERT_NE(it, got.end());
      w.feed(s, ack(c.type, it->id()));
      EXPECT_EQ(w.ended(s), c.ends) << "QoS " << c.qos << " type " << c.type;
    }
  }
}

TEST(Filters, WithoutALevelOrAGroupEndTheConnection) {  // 4.7.3-1, 4.8.2
  for (const int version : {4, 5}) {
    for (const char* filter : {"", "$share/g", "$share/g/", "$share//f"}) {
      EXPECT_TRUE(ends(subscribe(1, filter, 0, version), version)) << filter;
      EXPECT_TRUE(ends(unsubscribe(1, filter, version), version)) << filter;
    }
    EXPECT_FALSE(ends(subscribe(1, "$share/g/f", 0, version), version));
    EXPECT_FALSE(ends(subscribe(1, "/", 0, version), version));
  }
}

// 3.1.2-24: whatever is said is within the device's Maximum Packet Size.
TEST(MaximumPacketSize, BindsAllThatIsSaid) {
  for (std::uint32_t n = 2; n < 60; ++n) {
    World w;
    const int c = w.open();
    const auto check = [&] {
      for (const Packet& p : w.packets(c)) {
        EXPECT_LE(packet(p.type << 4 | p.flags, p.body).size(), n) << "type " << p.type;
      }
    };
    w.feed(c, connect({.client_id = "", .properties = maximum_packet_size(n)}));
    check();
    w.feed(c, subscribe(1, "t", 2) + unsubscribe(2, "none"));
    check();
    std::string many = u16(3) + std::string(1, '\0');
    for (int i = 0; i < 30; ++i) many += str("f/" + std::to_string(i)) + std::string(1, '\0');
    w.feed(c, packet(0x82, many));
    check();
    w.feed(c, publish("t", std::string(30, 'x'), 1, 1) + publish("a/#", "x"));
    check();
    EXPECT_TRUE(w.ended(c));
  }
}

}  // namespace
}  // namespace berth::test
