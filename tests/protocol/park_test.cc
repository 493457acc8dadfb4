// The Park protocol's frames, and the Envelope.
#include <gtest/gtest.h>

#include "protocol/messages/envelope.h"
#include "protocol/park/control.h"
#include "protocol/park/device.h"
#include "protocol/park/frame.h"
#include "tests/support/envelopes.h"
#include "tests/support/wire.h"

namespace berth::test {
namespace {

namespace park = protocol::park;
namespace messages = protocol::messages;
using park::Frame;
using park::FrameStatus;
using park::FrameType;
using park::Walker;

// RECEIVED of command 7, with its CRC as zlib, binascii.crc32 and STM32 make it.
constexpr const char* kReceived = "504b0d01 00000000 00000007 ce260898";

FrameStatus cut(const std::string& bytes, Frame& f, std::size_t max = 1 << 20) {
  return park::next_frame(base::as_bytes(bytes), max, f);
}

TEST(ParkFrame, IsAsTheDocumentSays) {
  std::string out;
  park::put_frame(out, FrameType::received, park::kCrc, 7, {});
  EXPECT_EQ(out, from_hex(kReceived));
  out.clear();
  park::put_frame(out, FrameType::event, 0, 0x01020304, "abc");
  EXPECT_EQ(out, from_hex("504b0600 00000003 01020304 616263"));
  Frame f;
  ASSERT_EQ(cut(out, f), FrameStatus::complete);
  EXPECT_EQ(f.type, FrameType::event);
  EXPECT_EQ(f.seq, 0x01020304u);
  EXPECT_EQ(f.payload, "abc");
  EXPECT_EQ(f.size, out.size());
}

TEST(ParkFrame, PartsAreWaitedForAndNonsenseIsNot) {
  std::string whole;
  park::put_frame(whole, FrameType::event, park::kCrc, 1, "payload");
  Frame f;
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(cut(whole.substr(0, n), f), FrameStatus::need_more) << n;
  EXPECT_EQ(cut(whole, f, whole.size() - 1), FrameStatus::too_large);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x08);
    EXPECT_NE(cut(bad + std::string(1 << 12, 'x'), f), FrameStatus::complete) << at;
  }
  EXPECT_EQ(cut("X", f), FrameStatus::malformed);
  EXPECT_EQ(cut("PX", f), FrameStatus::malformed);
  EXPECT_EQ(cut(from_hex("504b0600 01000001 00000001"), f, SIZE_MAX), FrameStatus::too_large);
}

TEST(ParkFrame, TheWalkerFindsPingsHoweverTheyAreCut) {
  std::string stream;
  park::put_frame(stream, FrameType::event, park::kCrc, 1, std::string(300, 'x'));
  park::put_frame(stream, FrameType::ping, park::kCrc, 5, {});
  park::put_frame(stream, FrameType::ping, park::kCrc, 6, "padding");
  park::put_frame(stream, FrameType::telemetry, park::kCrc, 0, "PK");
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    Walker w;
    std::vector<std::uint32_t> pings;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(w.walk(base::as_bytes(std::string_view(stream).substr(at, piece)), true,
                         [&](std::uint8_t flags, std::uint32_t seq) {
                           EXPECT_EQ(flags, park::kCrc);
                           pings.push_back(seq);
                         }));
      Walker other;  // as another process goes on
      ASSERT_TRUE(other.go_on_from(w.save()));
      w = other;
    }
    EXPECT_EQ(pings, (std::vector<std::uint32_t>{5, 6}));
    EXPECT_TRUE(w.at_boundary());
  }
  const auto nobody = [](std::uint8_t, std::uint32_t) {};
  std::string no_crc;
  park::put_frame(no_crc, FrameType::ping, 0, 1, {});
  EXPECT_TRUE(Walker().walk(base::as_bytes(no_crc), false, nobody));
  EXPECT_FALSE(Walker().walk(base::as_bytes(no_crc), true, nobody));
  EXPECT_FALSE(Walker().walk(base::as_bytes(std::string(12, 'G')), false, nobody));
}

TEST(ParkHello, ProofAndNames) {
  // printf 'park1nnnnnnnnnnnnnnnngate@acme\0g1' | openssl dgst -sha256 -hmac secret
  EXPECT_EQ(park::proof_of("secret", std::string(16, 'n'), "gate@acme", "g1"),
            from_hex("5e8e4835338616cacbbbd7e17cf82e5f7bee51e0387f6c785436fbfd2852edfe"));
  EXPECT_TRUE(park::is_name("gate-1_A.b"));
  for (const char* bad : {"", "a/b", "a+", "#", "a b", "ä"})
    EXPECT_FALSE(park::is_name(bad)) << bad;
  EXPECT_FALSE(park::is_name(std::string(65, 'a')));
  park::HelloView v;
  EXPECT_EQ(park::decode_hello("\xff", v), protocol::mqtt::Reason::malformed_packet);
  EXPECT_EQ(park::decode_hello("", v), protocol::mqtt::Reason::unsupported_protocol_version);
}

TEST(ParkDevice, KeepsSoManyReportsAndNoMore) {
  park::DeviceHandler nobody;
  park::Device d({.client_id = "x", .kept_max = 2}, nobody);
  EXPECT_EQ(d.report(FrameType::event, "a"), 1u);
  EXPECT_EQ(d.report(FrameType::state, "b"), 2u);
  EXPECT_EQ(d.report(FrameType::event, "c"), 0u);
  EXPECT_EQ(d.unacknowledged(), 2u);
}

std::string completed(const v1::Envelope& e, std::int64_t received_ms = 1'700'000'000'000) {
  std::string bytes = e.SerializeAsString();
  messages::EnvelopeView view;
  EXPECT_TRUE(messages::read_envelope(bytes, view));
  messages::Completer().complete(bytes, view, messages::encode_origin("acme", "north", "cam", 5),
                                 {.at_ms = received_ms});
  return bytes;
}

TEST(Envelope, WhatTheGatewayKnowsCounts) {
  v1::Envelope forged = plate_event("e1");
  forged.set_tenant("other");
  forged.set_site("elsewhere");
  forged.set_device("boss");
  forged.set_session_epoch(99);
  forged.mutable_received_time()->set_nanos(7);
  forged.set_clock(v1::CLOCK_GOOD);
  forged.set_skew_ms(3);
  const v1::Envelope got = envelope_of(completed(forged));
  EXPECT_EQ(got.tenant() + got.site() + got.device(), "acmenorthcam");
  EXPECT_EQ(got.session_epoch(), 5u);
  EXPECT_EQ(got.received_time().seconds(), 1'700'000'000);
  EXPECT_EQ(got.received_time().nanos(), 0);
  EXPECT_EQ(got.clock(), v1::CLOCK_UNKNOWN);
  EXPECT_EQ(got.skew_ms(), 0);
  EXPECT_EQ(got.event_id(), "e1");
  EXPECT_EQ(got.plate().plate().number(), "A1");
}

TEST(Envelope, ClocksAreJudged) {
  const auto clock = [](std::int64_t event_ms, bool replay) {
    v1::Envelope e = plate_event("e");
    e.mutable_event_time()->set_seconds(event_ms / 1000);
    e.set_replay(replay);
    return envelope_of(completed(e, 1'000'000));
  };
  EXPECT_EQ(clock(1'000'000, false).clock(), v1::CLOCK_GOOD);
  EXPECT_EQ(clock(900'000, true).clock(), v1::CLOCK_GOOD) << "it happened before";
  EXPECT_EQ(clock(900'000, false).clock(), v1::CLOCK_SKEWED);
  EXPECT_EQ(clock(900'000, false).skew_ms(), -100'000);
  EXPECT_EQ(clock(2'000'000, true).clock(), v1::CLOCK_SKEWED) << "in the future";
}

TEST(Envelope, WhatNobodyCouldReadIsNotTaken) {
  messages::EnvelopeView v;
  for (const char* hex : {"ff", "0a05", "0a01ff", "3a020805ff01", "a201ffffffff0f"})
    EXPECT_FALSE(messages::read_envelope(from_hex(hex), v)) << hex;
  EXPECT_TRUE(messages::read_envelope("", v));
  EXPECT_TRUE(v.type.empty());
  v1::Envelope far = plate_event("e");
  far.mutable_event_time()->set_seconds(INT64_MAX);
  EXPECT_TRUE(messages::read_envelope(far.SerializeAsString(), v));
  EXPECT_FALSE(v.has_time);
  EXPECT_EQ(v.type, "plate");
}

}  // namespace
}  // namespace berth::test
