// MQTT packets byte by byte. Every vector is decoded whole, after arriving byte by byte, and split
// at each position; each truncation must be refused or wait, never read past its end (run under
// ASan).
#include <gtest/gtest.h>

#include "protocol/mqtt/codec.h"
#include "protocol/mqtt/topic.h"
#include "tests/support/wire.h"

namespace berth::protocol::mqtt {
namespace {

using test::from_hex;

Frame whole(const std::string& bytes) {
  Frame f;
  EXPECT_EQ(next_frame(base::as_bytes(bytes), 1 << 20, f), FrameStatus::complete);
  EXPECT_EQ(f.size, bytes.size());
  return f;
}

struct Vector {
  const char* name;
  const char* hex;
};
const Vector kVectors[] = {
    {"PINGREQ", "c0 00"},
    {"PUBLISH qos 0", "30 05 00 01 61 68 69"},
    {"PUBLISH qos 1, v5 without properties", "32 08 00 01 61 00 07 00 68 69"},
    {"PUBACK", "40 02 00 07"},
    {"SUBSCRIBE", "82 06 00 01 00 01 61 01"},
    {"DISCONNECT with reason", "e0 01 04"},
};

TEST(Framer, EveryVectorWholeByteByByteAndSplit) {
  for (const Vector& v : kVectors) {
    const std::string bytes = from_hex(v.hex);
    for (std::size_t split = 0; split <= bytes.size(); ++split) {
      const std::string part = bytes.substr(0, split);  // own allocation: ASan sees an overrun
      Frame f;
      const FrameStatus s = next_frame(base::as_bytes(part), 1 << 20, f);
      EXPECT_EQ(s, split == bytes.size() ? FrameStatus::complete : FrameStatus::need_more)
          << v.name << " " << split;
      int pings = 0;
      Walker w;
      EXPECT_TRUE(w.walk(base::as_bytes(bytes).subspan(0, split), [&] { ++pings; }));
      EXPECT_EQ(w.at_boundary(), split == 0 || split == bytes.size()) << v.name << " " << split;
      EXPECT_TRUE(w.walk(base::as_bytes(bytes).subspan(split), [&] { ++pings; }));
      EXPECT_TRUE(w.at_boundary());
      EXPECT_EQ(pings, bytes == from_hex("c0 00") ? 1 : 0);
    }
  }
}

TEST(Framer, RefusesALengthOfFiveBytesAndTooLarge) {  // 1.5.5
  Frame f;
  const std::string five = from_hex("30 ff ff ff ff 01");
  EXPECT_EQ(next_frame(base::as_bytes(five), 1 << 20, f), FrameStatus::malformed);
  const std::string large = from_hex("30 ff ff 7f");
  EXPECT_EQ(next_frame(base::as_bytes(large), 65536, f), FrameStatus::too_large);
  Walker w;
  EXPECT_FALSE(w.walk(base::as_bytes(five), [] {}));
}

TEST(Connect, ReadsEveryField) {
  test::ConnectOptions o{.client_id = "dev",
                         .version = 5,
                         .clean = true,
                         .keep_alive_s = 60,
                         .properties = test::expiry(120) + from_hex("21 00 0a"),
                         .will_topic = "w",
                         .will_payload = "bye",
                         .will_qos = 1,
                         .will_retain = true,
                         .will_properties = from_hex("18 00 00 00 05"),
                         .user = "u",
                         .password = "p"};
  const std::string bytes = test::connect(o);
  Scratch scratch;
  ConnectView v;
  ASSERT_EQ(decode_connect(whole(bytes), scratch, v), Reason::success);
  EXPECT_EQ(v.client_id, "dev");
  EXPECT_EQ(v.keep_alive_s, 60);
  EXPECT_TRUE(v.clean_start);
  EXPECT_EQ(v.properties.session_expiry_s, 120u);
  EXPECT_EQ(v.properties.receive_maximum, 10);
  ASSERT_TRUE(v.will);
  EXPECT_EQ(v.will->payload, "bye");
  EXPECT_EQ(v.will->qos, 1);
  EXPECT_TRUE(v.will->retain);
  EXPECT_EQ(v.will->properties.will_delay_s, 5u);
  EXPECT_EQ(*v.user_name, "u");
  EXPECT_EQ(*v.password, "p");
  EXPECT_EQ(peek_client_id(whole(bytes)), "dev");
}

// Every packet with every truncation of its body: an error or a value, never a crash.
TEST(Decoders, SurviveEveryTruncation) {
  const std::string packets[] = {
      test::connect({.properties = test::expiry(1),
                     .will_topic = "w",
                     .will_payload = "x",
                     .user = "u",
                     .password = "p"}),
      test::publish("a/b", "payload", 2, 9, 5, true, true,
                    from_hex("02 00 00 00 0a 23 00 01 26 00 01 6b 00 01 76")),
      test::subscribe(3, "a/+/#", 1, 5, from_hex("0b 07")),
      test::unsubscribe(4, "a"),
      test::packet(0x40, from_hex("00 01 10 00")),
      test::packet(0xe0, from_hex("00 05 11 00 00 00 01"))};
  for (const std::string& p : packets) {
    Frame f = whole(p);
    for (std::size_t n = 0; n <= f.body.size(); ++n) {
      const std::string body(base::as_text(f.body.subspan(0, n)));
      Frame cut{f.header, base::as_bytes(body), n + 2};
      for (const Version v : {Version::v311, Version::v5}) {
        Scratch s;
        ConnectView c;
        PublishView pub;
        AckView a;
        SubscribeView sub;
        UnsubscribeView unsub;
        DisconnectView d;
        decode_connect(cut, s, c);
        decode_publish(cut, v, s, pub);
        decode_ack(cut, v, a);
        decode_subscribe(cut, v, sub);
        decode_unsubscribe(cut, v, unsub);
        decode_disconnect(cut, v, d);
        peek_client_id(cut);
      }
    }
  }
}

Reason publish_reason(const std::string& bytes, Version v = Version::v5) {
  Scratch s;
  PublishView p;
  return decode_publish(whole(bytes), v, s, p);
}

TEST(Publish, RefusesWhatTheSpecificationForbids) {
  EXPECT_EQ(publish_reason(test::packet(0x36, test::str("a"))),
            Reason::malformed_packet);  // 3.3.1-4
  EXPECT_EQ(publish_reason(test::packet(0x38, test::str("a"))),
            Reason::malformed_packet);                                               // 3.3.1-2
  EXPECT_EQ(publish_reason(test::publish("a/#", "x")), Reason::topic_name_invalid);  // 3.3.2-2
  EXPECT_EQ(publish_reason(test::publish("a", "x", 1, 0)), Reason::protocol_error);  // 2.2.1-3
  EXPECT_EQ(publish_reason(test::publish("", "x")), Reason::protocol_error);         // 3.3.2-8
  EXPECT_EQ(publish_reason(test::publish("", "x", 0, 0, 4), Version::v311),
            Reason::malformed_packet);
  EXPECT_EQ(publish_reason(test::publish("a", "x", 0, 0, 5, false, false,
                                         from_hex("02 00 00 00 01 02 00 00 00 01"))),
            Reason::protocol_error);  // 3.3.2.3.3: once
  EXPECT_EQ(publish_reason(test::publish("a", "\xff", 0, 0, 5, false, false, from_hex("01 01"))),
            Reason::payload_format_invalid);
}

TEST(Publish, ForwardsPropertiesInOrderWithoutOurs) {  // 3.3.2-18
  const std::string user = from_hex("26") + test::str("k") + test::str("v");
  const std::string props = from_hex("01 00") + user + from_hex("23 00 02") + user;
  const std::string bytes = test::publish("a", "x", 0, 0, 5, false, false, props);
  Scratch s;
  PublishView p;
  ASSERT_EQ(decode_publish(whole(bytes), Version::v5, s, p), Reason::success);
  EXPECT_EQ(p.properties.forwarded, from_hex("01 00") + user + user);
  EXPECT_EQ(p.properties.topic_alias, 2);
}

TEST(Publish, EncodesWhatItDecodes) {
  const std::vector<std::uint32_t> ids{1, 300};
  const PublishOut out{.topic = "a/b",
                       .payload = "xyz",
                       .forwarded = {},
                       .packet_id = 7,
                       .qos = 1,
                       .retain = true,
                       .message_expiry_s = 9,
                       .subscription_ids = &ids};
  std::string bytes;
  encode_publish_head(bytes, Version::v5, out);
  bytes += "xyz";
  EXPECT_EQ(bytes.size(), publish_size(Version::v5, out));
  EXPECT_EQ(bytes,
            test::packet(0x33, test::str("a/b") +
                                   from_hex("00 07 0a 02 00 00 00 09 0b 01 0b ac 02") + "xyz"));
}

TEST(Subscribe, RefusesBadOptions) {
  SubscribeView v;
  EXPECT_EQ(decode_subscribe(whole(test::subscribe(1, "a", 3)), Version::v5, v),
            Reason::malformed_packet);
  EXPECT_EQ(decode_subscribe(whole(test::subscribe(1, "a", 0x40)), Version::v5, v),
            Reason::malformed_packet);
  EXPECT_EQ(decode_subscribe(whole(test::subscribe(1, "a", 0x30)), Version::v5, v),
            Reason::protocol_error);
  EXPECT_EQ(decode_subscribe(whole(test::subscribe(1, "a", 4, 4)), Version::v311, v),
            Reason::malformed_packet);
  EXPECT_EQ(decode_subscribe(whole(test::packet(0x82, from_hex("00 01 00"))), Version::v5, v),
            Reason::protocol_error);
}

TEST(Topics, Utf8) {  // 1.5.4
  EXPECT_TRUE(valid_utf8("停车场/1"));
  EXPECT_TRUE(valid_utf8("plain ascii longer than eight"));
  EXPECT_FALSE(valid_utf8(std::string_view("a\0b", 3)));
  EXPECT_FALSE(valid_utf8(std::string_view("0123456\0", 8)));
  EXPECT_FALSE(valid_utf8("\xc0\x80"));
  EXPECT_FALSE(valid_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(valid_utf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(valid_utf8("\xe5\x81"));
}

TEST(Topics, FiltersAndMatching) {  // 4.7
  for (const char* good : {"#", "+", "a/#", "+/b/#", "/", "a//b", "a/+/c"})
    EXPECT_TRUE(valid_topic_filter(good)) << good;
  for (const char* bad : {"", "a#", "#/a", "a/b+", "a/+b"})
    EXPECT_FALSE(valid_topic_filter(bad)) << bad;
  EXPECT_TRUE(filter_matches("a/#", "a"));
  EXPECT_TRUE(filter_matches("a/+", "a/"));
  EXPECT_FALSE(filter_matches("a/+", "a"));
  EXPECT_FALSE(filter_matches("#", "$SYS/x"));
  EXPECT_FALSE(filter_matches("+/x", "$SYS/x"));
  EXPECT_TRUE(filter_matches("$SYS/#", "$SYS/x"));
  const ParsedFilter s = parse_filter("$share/g/a/#");
  EXPECT_TRUE(s.valid && s.shared);
  EXPECT_EQ(s.group, "g");
  EXPECT_EQ(s.filter, "a/#");
  EXPECT_FALSE(parse_filter("$share//a").valid);
  EXPECT_FALSE(parse_filter("$share/g").valid);
  EXPECT_FALSE(parse_filter("$share/g+/a").valid);
}

}  // namespace
}  // namespace berth::protocol::mqtt
