// Devices of the Park protocol in the Broker: the same sessions as MQTT's, whatever dies.
#include <gtest/gtest.h>

#include "protocol/park/park.pb.h"
#include "tests/support/park_world.h"
#include "tests/support/partitions.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using park::FrameType;
using protocol::link::CloseReason;
using Words = std::vector<std::string>;

constexpr const char* kPlate = "v1/_/gate/event/plate";

// "topic event_id" of all that a platform hears.
Words heard_words(World& w, int c) {
  Words all;
  for (const Packet& k : take_publishes(w, c))
    all.push_back(k.topic() + " " + envelope_of(k.payload(5)).event_id());
  return all;
}

int platform(World& w, std::uint32_t link = 0) {
  const int c =
      w.open_connected({.client_id = "platform", .clean = false, .properties = expiry(3600)}, link);
  w.feed(c, subscribe(1, "v1/#", 1));
  w.packets(c);
  return c;
}

TEST(Park, ReportsReachThePlatformAndAreAcknowledged) {
  World w;
  const int p = platform(w);
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  ASSERT_EQ(d.welcomes, 1);
  EXPECT_FALSE(d.resumed);
  EXPECT_EQ(d.device().heartbeat_s(), 30u);
  const std::uint64_t n = d.say(plate_event("e1"));
  EXPECT_TRUE(d.acked.contains(n));
  d.say(plate_event("e2"), FrameType::telemetry);
  d.say(plate_event("e3"), FrameType::telemetry, park::kAckWanted);
  d.say(plate_event("e4"), FrameType::state);
  v1::Envelope of_child = plate_event("e5");
  of_child.set_child("loop-2");
  d.say(of_child);
  d.say(result_of("c9"), FrameType::result);
  EXPECT_EQ(heard_words(w, p),
            (Words{"v1/_/gate/event/plate e1", "v1/_/gate/telemetry/plate e2",
                   "v1/_/gate/telemetry/plate e3", "v1/_/gate/state e4",
                   "v1/_/gate/sub/loop-2/event/plate e5", "v1/_/gate/cmd/c9/res r-c9"}));
  EXPECT_EQ(d.device().unacknowledged(), 0u);
}

TEST(Park, TheEnvelopeIsCompletedAndNamed) {
  Site s;
  const int p = s.come("acme/s/platform", "p");
  s.w.feed(p, subscribe(1, "v1/north/+/event/#", 1));
  WorldDevice d(s.w, {.client_id = "gate", .auth_id = "acme/d/gate-7"});
  d.come();
  v1::Envelope forged = plate_event("");
  forged.set_tenant("other");
  d.say(forged);
  const auto got = take_publishes(s.w, p);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].topic(), "v1/north/gate-7/event/plate");
  const v1::Envelope e = envelope_of(got[0].payload(5));
  EXPECT_EQ(e.tenant() + " " + e.site() + " " + e.device(), "acme north gate-7");
  EXPECT_EQ(e.event_id(), std::to_string(d.device().session_epoch()) + "-1");
  EXPECT_EQ(e.session_epoch(), d.device().session_epoch());
}

TEST(Park, OneAckForManyReports) {
  World w;
  platform(w);
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  std::string many;
  for (std::uint32_t i = 1; i <= 50; ++i)
    park::put_frame(many, FrameType::event, park::kCrc, i, plate_event("e").SerializeAsString());
  w.feed(d.c, many);
  park::Frame f;
  const std::string answer = w.take_bytes(d.c);
  ASSERT_EQ(park::next_frame(base::as_bytes(answer), 1 << 20, f), park::FrameStatus::complete);
  EXPECT_EQ(f.type, FrameType::ack);
  EXPECT_EQ(f.seq, 50u);
  EXPECT_EQ(f.size, answer.size());
}

TEST(Park, CommandsComeFromTheQueueOnceAndInOrder) {
  World w;
  const int p = platform(w);
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  w.feed(p, publish("v1/_/gate/cmd/1/req/open", "a", 1, 1));
  w.feed(p, publish("v1/_/gate/cmd/2/req/show", "b"));
  w.feed(p, publish("v1/_/gate/sub/gun-1/cmd/3/req/stop", "c", 1, 2));
  w.feed(p, publish("v1/_/gate/desired", "d", 1, 3));
  w.feed(p, publish("v1/_/other/cmd/1/req/open", "not mine", 1, 4));
  d.pump();
  EXPECT_EQ(d.commands, (Words{"open 1 a", "show 2 b", "stop 3@gun-1 c", "desired d"}));
  w.close(d.c);
  d.commands.clear();
  w.feed(p, publish("v1/_/gate/cmd/5/req/open", "late", 1, 5));
  d.come();
  EXPECT_TRUE(d.resumed);
  EXPECT_EQ(d.commands, Words{"open 5 late"});
  w.close(d.c);
  d.commands.clear();
  d.come();
  EXPECT_EQ(d.commands, Words{}) << "they were acknowledged";
}

TEST(Park, WhatWasNotAcknowledgedComesAgainAndSaysSo) {
  World w;
  const int p = platform(w);
  WorldDevice d(w, {.client_id = "gate", .max_inflight = 2});
  d.acknowledges = false;
  d.come();
  for (unsigned i = 1; i <= 3; ++i)
    w.feed(p, publish("v1/_/gate/cmd/" + std::to_string(i) + "/req/open", "x", 1, i));
  d.pump();
  EXPECT_EQ(d.commands, (Words{"open 1 x", "open 2 x"})) << "no more than it takes";
  w.close(d.c);
  d.commands.clear();
  d.acknowledges = true;
  d.come();
  EXPECT_EQ(d.commands, (Words{"+open 1 x", "+open 2 x", "open 3 x"}));
}

TEST(Park, ALateCommandNeverComes) {
  World w;
  const int p = platform(w);
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  const std::string expires = std::string("\x02", 1) + u16(0) + u16(5);  // Message Expiry: 5 s
  w.feed(p, publish("v1/_/gate/cmd/1/req/open", "x", 1, 1, 5, false, false, expires));
  d.pump();
  EXPECT_EQ(d.last_ttl_ms, 5000u);
  EXPECT_EQ(d.last_deadline_ms, static_cast<std::uint64_t>(w.now().ms) + 5000u)
      << "however long the frame waits on its way";
  d.acknowledges = false;
  w.feed(p, publish("v1/_/gate/cmd/2/req/open", "x", 1, 2, 5, false, false, expires));
  d.pump();
  w.close(d.c);
  w.feed(p, publish("v1/_/gate/cmd/3/req/open", "x", 1, 3, 5, false, false, expires));
  w.advance_s(6);
  d.commands.clear();
  d.come();
  EXPECT_EQ(d.commands, Words{}) << "neither for the first time nor again";
}

TEST(Park, DesiredStateIsThereForANewSession) {
  World w;
  const int p = platform(w);
  w.feed(p, publish("v1/_/gate/desired", "mode=auto", 1, 1, 5, true));
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  EXPECT_EQ(d.commands, Words{"desired mode=auto"});
  w.close(d.c);
  d.commands.clear();
  d.come();
  EXPECT_EQ(d.commands, Words{}) << "it has it";
  WorldDevice again(w, {.client_id = "gate", .fresh = true});
  again.come();
  EXPECT_FALSE(again.resumed);
  EXPECT_EQ(again.commands, Words{"desired mode=auto"});
  EXPECT_TRUE(w.ended(d.c));
  w.close(again.c);
  w.feed(p, publish("v1/_/gate/cmd/1/req/open", "kept", 1, 2));
  again.come();
  EXPECT_TRUE(again.resumed) << "afresh once, not each time it comes back";
  EXPECT_EQ(again.commands.back(), "open 1 kept");
}

TEST(Park, WhatCanNotBeTakenIsRefusedForEverAndTheRestGoesOn) {
  World w;
  const int p = platform(w);
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  d.device().report(FrameType::event, "\xff\xff nonsense");
  d.device().report(FrameType::event, v1::Envelope().SerializeAsString());
  d.device().report(FrameType::result, plate_event("no result").SerializeAsString());
  d.device().report(FrameType::event, result_of("c").SerializeAsString());
  v1::Envelope child = plate_event("e");
  child.set_child("a/b");
  d.device().report(FrameType::event, child.SerializeAsString());
  d.device().report(FrameType::result, result_of("+").SerializeAsString());
  d.say(plate_event("good"));
  EXPECT_EQ(d.refused, (Words{"1 153", "2 153", "3 153", "4 153", "5 153", "6 153"}));
  EXPECT_EQ(d.acked, (std::set<std::uint64_t>{7}));
  EXPECT_EQ(heard_words(w, p), Words{std::string(kPlate) + " good"});
}

TEST(Park, WhoDoesNotKeepToItHearsWhy) {
  World w;
  struct Case {
    std::string bytes;
    std::uint32_t code;
  };
  std::string no_seq, bad_crc, unknown, second_hello;
  park::put_frame(no_seq, FrameType::event, park::kCrc, 0, plate_event("e").SerializeAsString());
  park::put_frame(bad_crc, FrameType::event, park::kCrc, 1, plate_event("e").SerializeAsString());
  bad_crc.back() = static_cast<char>(bad_crc.back() ^ 1);
  park::put_frame(unknown, static_cast<FrameType>(99), park::kCrc, 1, {});
  park::put_frame(second_hello, FrameType::hello, park::kCrc, 1, {});
  for (const Case& c : {Case{no_seq, 0x82}, Case{bad_crc, 0x81}, Case{unknown, 0x82},
                        Case{second_hello, 0x82}, Case{"GET / HTTP/1.1\r\n\r\n", 0x81}}) {
    WorldDevice d(w, {.client_id = "gate"});
    d.come();
    d.raw(c.bytes);
    EXPECT_TRUE(d.ended);
    ASSERT_EQ(d.ends.size(), 1u);
    EXPECT_EQ(d.ends[0].code, c.code) << d.ends[0].text;
    EXPECT_FALSE(d.ends[0].text.empty());
    EXPECT_EQ(d.ends[0].quota, "") << "none is used up";
  }
  WorldDevice bad(w, {.client_id = "not a name"});
  bad.come();
  EXPECT_TRUE(bad.ended);
  EXPECT_EQ(bad.welcomes, 0);
}

TEST(Park, ServicesAndStrangersAreNoDevices) {
  Site s;
  for (const char* who : {"acme/s/platform", "acme/o/eve"}) {
    WorldDevice d(s.w, {.client_id = "x", .auth_id = who});
    d.come();
    ASSERT_EQ(d.ends.size(), 1u) << who;
    EXPECT_EQ(d.ends[0].code, 0x87u);
  }
}

TEST(Park, ASessionIsTheSameInBothProtocols) {
  World w;
  const int p = platform(w);
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  const int mqtt =
      w.open_connected({.client_id = "gate", .clean = false, .properties = expiry(60)});
  d.pump();
  EXPECT_TRUE(d.ended);
  ASSERT_EQ(d.ends.size(), 1u);
  EXPECT_EQ(d.ends[0].code, 0x8eu) << "taken over";
  w.feed(mqtt, subscribe(1, "anything/#", 2));
  w.packets(mqtt);
  w.feed(p, publish("v1/_/gate/cmd/1/req/open", "x", 1, 1));
  const auto got = take_publishes(w, mqtt);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].topic(), "v1/_/gate/cmd/1/req/open");
  w.close(mqtt);
  w.feed(p, publish("anything/1", "mqtt only", 2, 2));
  w.feed(p, ack(6, 2));
  w.feed(p, publish("v1/_/gate/cmd/2/req/open", "y", 1, 3));
  d.come();
  EXPECT_EQ(d.commands, Words{"open 2 y"});
  w.feed(p, publish("anything/2", "not any more", 1, 4));
  d.pump();
  EXPECT_EQ(d.commands.size(), 1u);
}

TEST(Park, ByeAndDrain) {
  World w;
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  d.device().bye();
  d.pump();
  EXPECT_TRUE(d.ended);
  EXPECT_EQ(w.reason(d.c), CloseReason::client);
  WorldDevice e(w, {.client_id = "gate-2"});
  e.come();
  w.broker().drain(w.now());
  w.run();
  e.pump();
  ASSERT_EQ(e.ends.size(), 1u);
  EXPECT_TRUE(e.ends[0].planned);
  EXPECT_GT(e.ends[0].retry_after_ms, 0u) << "not all at once";
  EXPECT_LE(e.ends[0].retry_after_ms, 5000u);
}

// Of the ERROR frame that ends `frames`; 0: there is none.
std::uint32_t error_code(std::string_view frames) {
  park::Frame f;
  while (park::next_frame(base::as_bytes(frames), SIZE_MAX, f) == park::FrameStatus::complete) {
    berth::park::v1::Error e;
    if (f.type == FrameType::error && e.ParseFromArray(f.payload.data(), int(f.payload.size())))
      return e.code();
    frames.remove_prefix(f.size);
  }
  return 0;
}

TEST(Park, ReportsAreNumberedOneUp) {
  World w;
  for (const std::vector<std::uint32_t>& numbers :
       {std::vector<std::uint32_t>{2}, {1, 1}, {1, 3}, {1, 2, 4}}) {
    WorldDevice d(w, {.client_id = "gate"});
    d.come();
    std::string frames;
    for (const std::uint32_t seq : numbers)
      park::put_frame(frames, FrameType::event, park::kCrc, seq,
                      plate_event("e").SerializeAsString());
    w.feed(d.c, frames);
    EXPECT_TRUE(w.ended(d.c));
    EXPECT_EQ(error_code(w.take_bytes(d.c)), 0x82u) << numbers.back() << " of " << numbers.size();
  }
  WorldDevice flagless(w, {.client_id = "gate"});
  flagless.come();
  std::string frame;
  park::put_frame(frame, FrameType::telemetry, park::kCrc, 1, plate_event("e").SerializeAsString());
  w.feed(flagless.c, frame);
  EXPECT_TRUE(w.ended(flagless.c)) << "without ACK_WANTED its seq is 0";
  EXPECT_EQ(error_code(w.take_bytes(flagless.c)), 0x82u);
  WorldDevice good(w, {.client_id = "gate"});
  good.come();
  for (int i = 0; i < 5; ++i)
    good.say(plate_event("e"), FrameType::telemetry, i % 2 == 0 ? park::kAckWanted : 0);
  good.say(plate_event("e"));
  EXPECT_FALSE(good.ended);
}

TEST(Park, APasswordWithoutTlsIsRefused) {
  World w;
  WorldDevice d(w, {.client_id = "gate", .auth_id = "gate", .password = "secret"});
  d.come();
  EXPECT_TRUE(d.ended);
  EXPECT_EQ(d.welcomes, 0);
  ASSERT_EQ(d.ends.size(), 1u);
  EXPECT_EQ(d.ends[0].code, 0x8cu);
}

TEST(Park, AnErrorNamesTheQuotaThatIsUsedUp) {
  Site s;
  s.book.limits["acme/"].connections = 1;
  s.come("acme/s/platform", "p");
  WorldDevice d(s.w, {.client_id = "gate", .auth_id = "acme/d/gate"});
  d.come();
  ASSERT_EQ(d.ends.size(), 1u);
  EXPECT_EQ(d.ends[0].code, 0x97u);
  EXPECT_EQ(d.ends[0].quota, "connections");
  EXPECT_EQ(d.ends[0].text, "quota: connections");
}

TEST(Park, QuotasSlowEventsAndRefuseTelemetry) {
  Site s;
  s.book.limits["acme/"].messages_per_s = 2;
  const int p = s.come("acme/s/platform", "p");
  s.w.feed(p, subscribe(1, "v1/#", 1));
  WorldDevice d(s.w, {.client_id = "gate", .auth_id = "acme/d/gate"});
  d.come();
  for (int i = 0; i < 4; ++i)
    d.device().report(FrameType::telemetry, plate_event("t").SerializeAsString(), park::kAckWanted);
  for (int i = 0; i < 3; ++i)
    d.device().report(FrameType::event, plate_event("e").SerializeAsString());
  d.pump();
  EXPECT_FALSE(d.refused.empty());
  EXPECT_LT(d.acked.size(), 7u - d.refused.size());
  for (int i = 0; i < 5 && d.device().unacknowledged() != 0; ++i) {
    s.w.advance_s(1);
    d.pump();
  }
  EXPECT_EQ(d.device().unacknowledged(), 0u) << "events wait, they are not lost";
  EXPECT_EQ(d.acked.size() + d.refused.size(), 7u);
}

// The engine dies, or the link to an edge breaks, at every boundary of all this.
void all_goes_well(int crash_at, int breaks, bool persistent) {
  SCOPED_TRACE(crash_at);
  World w({}, crash_at, breaks);
  const int p = platform(w, 1);
  park::Device::Options o{.client_id = "gate"};
  if (!persistent) o.session_expiry_s = 0;
  WorldDevice d(w, o);
  d.come();
  d.say(plate_event("e1"));
  w.feed(p, publish("v1/_/gate/cmd/1/req/open", "a", 1, 1));
  d.pump();
  for (const char* id : {"e2", "e3"})
    d.device().report(FrameType::event, plate_event(id).SerializeAsString());
  d.pump();
  w.feed(p, publish("v1/_/gate/cmd/2/req/open", "b", 1, 2));
  w.feed(p, publish("v1/_/gate/cmd/3/req/open", "c", 1, 3));
  d.pump();
  d.say(result_of("3"), FrameType::result);
  EXPECT_FALSE(d.ended);
  EXPECT_EQ(d.welcomes, 1);
  EXPECT_EQ(d.resent_live, 0);
  EXPECT_EQ(d.acked, (std::set<std::uint64_t>{1, 2, 3, 4}));
  EXPECT_TRUE(d.refused.empty());
  const auto once = [](const Words& all) {  // QoS 1: perhaps twice, as new messages
    Words first;
    for (const std::string& t : all)
      if (std::find(first.begin(), first.end(), t) == first.end()) first.push_back(t);
    return first;
  };
  EXPECT_EQ(once(d.commands), (Words{"open 1 a", "open 2 b", "open 3 c"}));
  Words events;
  for (const std::string& t : heard_words(w, p)) {
    if (!t.starts_with("v1/_/gate/cmd/") || t.ends_with("r-3")) events.push_back(t);
  }
  EXPECT_EQ(once(events), (Words{std::string(kPlate) + " e1", std::string(kPlate) + " e2",
                                 std::string(kPlate) + " e3", "v1/_/gate/cmd/3/res r-3"}));
}

TEST(Park, I1toI4_ADeathOfTheEngineAtEachBoundary) {
  for (const bool persistent : {true, false})
    for (int at = -1; at < 160; ++at) all_goes_well(at, -1, persistent);
}

TEST(Park, I1toI4_ABrokenLinkAtEachBoundary) {
  for (const int link : {0, 1})
    for (int at = 0; at < 160; ++at) all_goes_well(at, link, true);
}

TEST(Park, ACommandOfAnotherPartition) {
  for (int at = -1; at < 60; ++at) {
    SCOPED_TRACE(at);
    Partitions both(0, at);
    const std::string id = Partitions::client("gate", 0);
    WorldDevice d(both[0], {.client_id = id});
    d.come();
    both.run();
    d.pump();
    ASSERT_EQ(d.welcomes, 1) << "the other partition has heard_words of what it subscribes to";
    const int p = both[1].open_connected({.client_id = Partitions::client("p", 1)});
    both[1].feed(p, subscribe(1, "v1/#", 1));
    both.run();
    both[1].feed(p, publish("v1/_/" + id + "/cmd/1/req/open", "x", 1, 1));
    both.run();
    d.pump();
    d.say(plate_event("e"));
    both.run();
    EXPECT_EQ(d.commands, Words{"open 1 x"});
    const Words got = heard_words(both[1], p);
    EXPECT_TRUE(std::find(got.begin(), got.end(), "v1/_/" + id + "/event/plate e") != got.end());
  }
}

}  // namespace
}  // namespace berth::test
