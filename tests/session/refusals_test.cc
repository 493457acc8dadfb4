// What is refused is refused with the reason: the device or platform hears it, the log has the same
// words and the same code, and it is counted.
#include <gtest/gtest.h>

#include <sstream>

#include "protocol/park/faults.h"
#include "protocol/park/park.pb.h"
#include "session/command_topic.h"
#include "tests/support/log_lines.h"
#include "tests/support/park_world.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using park::FrameType;
using protocol::link::CloseReason;
using Words = std::vector<std::string>;

class Refusals : public ::testing::Test {
 protected:
  // One line has all of these.
  void expect_line(const Words& parts) {
    const std::string all = lines_.all();
    std::istringstream in(all);
    for (std::string line; std::getline(in, line);) {
      if (std::all_of(parts.begin(), parts.end(),
                      [&](const auto& p) { return line.find(p) != std::string::npos; }))
        return;
    }
    ADD_FAILURE() << parts.front() << " … " << parts.back() << " is not in\n" << all;
  }
  std::size_t lines_with(const std::string& words) const {
    std::size_t n = 0;
    const std::string all = lines_.all();
    for (std::size_t at = 0; (at = all.find(words, at)) != std::string::npos; ++at) ++n;
    return n;
  }
  LogLines lines_;
};

const Words kBadIds{"z z", "a:b", "a=b", "\xe4\xb8\xad", "{uuid}", "a,b", std::string(65, 'a'), ""};

TEST_F(Refusals, ACommandThatCouldNotBeAnsweredIsRefusedWhenItIsPublished) {
  Site s;
  WorldDevice d(s.w, {.client_id = "gate", .auth_id = "acme/d/gate-7"});
  d.come();
  const int p = s.come("acme/s/platform", "p");
  s.w.packets(p);
  for (const std::string& id : kBadIds) {
    s.w.feed(p, publish("v1/north/gate-7/cmd/" + id + "/req/open", "x", 1, 1));
    EXPECT_EQ(answer(s.w, p, 4, 2), 0x90u) << id;
    s.w.feed(p, publish("v1/north/gate-7/cmd/" + id + "/req/open", "x"));
  }
  s.w.feed(p, publish("v1/north/gate-7/sub/a b/cmd/1/req/open", "x", 1, 1));
  EXPECT_EQ(answer(s.w, p, 4, 2), 0x90u) << "its child could not be named either";
  for (const std::string of : {"", "sub/loop/"}) {
    s.w.feed(p, publish("v1/north/gate-7/" + of + "cmd/1/req/open", "x", 1, 1, 5, true));
    EXPECT_EQ(answer(s.w, p, 4, 2), 0x90u) << "retained: it would come at each subscription";
  }
  s.w.feed(p, publish("v1/north/gate-7/cmd/" + std::string(64, 'a') + "/req/open now", "x", 1, 1));
  s.w.feed(p, publish("v1/north/gate-7/sub/loop_1/cmd/A.b-9/req/open", "x", 1, 2));
  d.pump();
  EXPECT_EQ(d.commands, (Words{"open now " + std::string(64, 'a') + " x", "open A.b-9@loop_1 x"}));
  expect_line({"command refused", "client=p", "tenant=acme", "account=platform", "device=gate-7",
               "topic=\"v1/north/gate-7/cmd/z z/req/open\"", "1 to 64 letters", "code=0x90"});
  std::uint64_t refused = 0;
  s.w.broker().accounts().each([&](const session::Account& a) {
    if (a.tenant() == "acme" && a.site().empty()) refused = a.usage.refused;
  });
  EXPECT_EQ(refused, 2 * kBadIds.size() + 3);
}

TEST_F(Refusals, ACommandOfWhoIsNotRegisteredToo) {
  World w;
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  const int p = w.open_connected({.client_id = "p"});
  const int old = w.open_connected({.client_id = "old", .version = 4});
  w.packets(p);
  w.feed(p, publish("v1/_/gate/cmd/a:b/req/open", "x", 2, 1));
  EXPECT_EQ(answer(w, p, 5, 2), 0x90u);
  w.feed(old, publish("v1/_/gate/cmd/a:b/req/open", "x", 1, 1, 4));
  w.feed(p, publish("lot/gate/cmd/a:b/req/open", "any topic of any client", 1, 2));
  EXPECT_LT(answer(w, p, 4, 2), 0x80u);
  d.pump();
  EXPECT_EQ(d.commands, Words{});
  EXPECT_EQ(lines_with("command refused"), 2u);
}

TEST_F(Refusals, AWillCannotCommandADevice) {
  Site s;
  const auto connack = [&](const char* user, const std::string& topic, int version = 5) {
    const int c = s.come(user, "w", {.version = version, .will_topic = topic, .will_payload = "x"});
    return answer(s.w, c, 2, 1);
  };
  for (const char* topic :
       {"v1/north/gate-7/cmd/1/req/open", "v1/north/gate-7/sub/loop/cmd/1/req/open",
        "v1/north/gate-7/desired", "v1/north/gate-7/command/1/request/open"}) {
    EXPECT_EQ(connack("acme/s/platform", topic), 0x87u) << topic;
    EXPECT_EQ(connack("acme/s/platform", topic, 4), 5u) << topic;
  }
  EXPECT_EQ(connack("acme/d/gate-7", "v1/cmd/1/req/open"), 0x87u) << "nor itself";
  EXPECT_EQ(connack("acme/d/gate-7", "v1/event/alarm"), 0u);
  EXPECT_EQ(connack("acme/s/platform", "v1/north/platform/gone"), 0u);
  expect_line({"its will is a command", "code=0x87", "account=platform"});
  World w;
  const int c = w.open_connected({.will_topic = "v1/_/gate/cmd/1/req/open", .will_payload = "x"});
  EXPECT_EQ(answer(w, c, 2, 1), 0x87u) << "nor a client that is not registered";
  EXPECT_EQ(answer(w, w.open_connected({.will_topic = "v1/x/gate/cmd/1/req/open"}), 2, 1), 0u);
}

TEST_F(Refusals, ADeviceKeepsNoCommandToItself) {
  Site s;
  const int gate = s.come("acme/d/gate-7", "g");
  for (const char* topic : {"v1/cmd/1/req/open", "v1/sub/loop/cmd/1/req/open"}) {
    s.w.feed(gate, publish(topic, "x", 1, 1, 5, true));
    EXPECT_EQ(answer(s.w, gate, 4, 2), 0x90u) << topic;
  }
}

TEST_F(Refusals, EachViolationHasItsWordsForDeviceAndLog) {
  World w;
  const auto frame = [](FrameType type, std::uint32_t seq, std::string_view payload = {}) {
    std::string f;
    park::put_frame(f, type, park::kCrc, seq, payload);
    return f;
  };
  const std::string plate = plate_event("e").SerializeAsString();
  std::string bad_crc = frame(FrameType::event, 1, plate);
  bad_crc.back() = static_cast<char>(bad_crc.back() ^ 1);
  std::string large;
  park::put_header(large, FrameType::state, park::kCrc, 1, std::size_t{1} << 24);
  std::string larger;
  park::put_header(larger, FrameType::state, park::kCrc, 1, 0xffffffff);
  struct Case {
    std::string bytes, text, code;
  };
  for (const Case& c : {
           Case{frame(FrameType::event, 0, plate), "EVENT with seq 0, expected 1", "0x82"},
           Case{frame(FrameType::state, 3, plate), "STATE with seq 3, expected 1", "0x82"},
           Case{bad_crc, "EVENT with seq 1: wrong CRC", "0x81"},
           Case{frame(static_cast<FrameType>(99), 1), "frame type 99 is unknown", "0x82"},
           Case{frame(FrameType::ack, 1), "ACK is for the gateway to send", "0x82"},
           Case{frame(FrameType::hello, 1), "a second HELLO", "0x82"},
           Case{frame(FrameType::received, 70000), "RECEIVED with seq 70000", "0x82"},
           Case{"GET / HTTP/1.1\r\n\r\n", "it begins with 0x47 0x45, not with 'PK'", "0x81"},
           Case{large, "STATE of 16777232 bytes, the limit is 10485760", "0x95"},
           Case{larger, "STATE of 4294967311 bytes, the limit is", "0x95"},
       }) {
    WorldDevice d(w, {.client_id = "gate"});
    d.come();
    d.raw(c.bytes);
    ASSERT_EQ(d.ends.size(), 1u) << c.text;
    EXPECT_NE(d.ends[0].text.find(c.text), std::string::npos) << d.ends[0].text;
    EXPECT_EQ(d.ends[0].code, std::stoul(c.code, nullptr, 16)) << c.text;
    expect_line({"client disconnected", "client=gate", c.text, "code=" + c.code});
    w.close(d.c);
  }
  const int early = w.open();
  w.feed(early,
         park::encode_greeting(
             {.nonce = std::string(16, 'n'), .server_time_ms = 1, .crc_wanted = true}, park::kCrc) +
             frame(FrameType::event, 1, plate));
  expect_line({"client refused", "cause=protocol_error", "EVENT before HELLO", "code=0x82"});
  const int twice = w.open_connected({.client_id = "m"});
  w.feed(twice, connect({.client_id = "m"}));
  expect_line({"client disconnected", "client=m", "a second CONNECT", "code=0x82"});
  const int no_id = w.open_connected({.client_id = "n"});
  w.feed(no_id, publish("a", "x", 1, 0));
  expect_line({"client disconnected", "client=n", "PUBLISH with packet id 0", "code=0x82"});
}

// The Walker of the edge, which sees what no engine needs to read.
TEST_F(Refusals, TheEdgeHasTheSameWords) {
  const auto fault = [](std::string_view bytes) {
    park::Walker w;
    EXPECT_FALSE(w.walk(base::as_bytes(bytes), true, [](auto...) {}));
    return park::text_of_fault(w);
  };
  std::string no_crc;
  park::put_frame(no_crc, FrameType::ping, 0, 0, {});
  EXPECT_EQ(fault(no_crc), "PING without CRC: without TLS each frame has one");
  std::string large;
  park::put_header(large, FrameType::event, park::kCrc, 1, park::kPayloadMax + 1);
  EXPECT_EQ(fault(large), "EVENT with a length of 16777217, the limit is 16777216");
  EXPECT_EQ(fault("GET / HTTP/1.1"), "no frame: it begins with 0x47 0x45, not with 'PK'");
}

TEST_F(Refusals, AReportThatIsRefusedIsSaidLoggedAndCounted) {
  Site s;
  WorldDevice d(s.w, {.client_id = "gate", .auth_id = "acme/d/gate-7"});
  d.come();
  v1::Envelope child = plate_event("e");
  child.set_child("a/b");
  struct Case {
    FrameType type;
    std::string payload, text;
  };
  std::uint64_t n = 0;
  for (const Case& c :
       {Case{FrameType::event, "\xff\xff nonsense", "not a Protobuf Envelope"},
        Case{FrameType::event, v1::Envelope().SerializeAsString(), "has no body"},
        Case{FrameType::result, plate_event("e").SerializeAsString(), "needs the body `result`"},
        Case{FrameType::event, result_of("c").SerializeAsString(), "belongs into a RESULT"},
        Case{FrameType::event, child.SerializeAsString(), "a child is 1 to 64 letters"},
        Case{FrameType::result, result_of("z z").SerializeAsString(), "the id of a command is"}}) {
    std::string bytes;
    park::put_frame(bytes, c.type, park::kCrc, static_cast<std::uint32_t>(++n), c.payload);
    s.w.feed(d.c, bytes);
    park::Frame f;
    const std::string heard = s.w.take_bytes(d.c);
    ASSERT_EQ(park::next_frame(base::as_bytes(heard), 1 << 20, f), park::FrameStatus::complete);
    berth::park::v1::Ack a;
    ASSERT_TRUE(f.type == FrameType::ack &&
                a.ParseFromArray(f.payload.data(), int(f.payload.size())));
    ASSERT_EQ(a.refused_size(), 1) << c.text;
    EXPECT_NE(a.refused(0).text().find(c.text), std::string::npos) << a.refused(0).text();
    expect_line({"report refused", "client=gate", "tenant=acme", "device=gate-7",
                 "seq=" + std::to_string(n), c.text, "code=0x99"});
  }
  std::uint64_t dropped = 0;
  s.w.broker().accounts().each([&](const session::Account& a) {
    if (a.tenant() == "acme" && a.site().empty()) dropped = a.usage.dropped;
  });
  EXPECT_EQ(dropped, n);
}

TEST_F(Refusals, AHelloThatIsRefusedIsNamed) {
  World w;
  const auto hello = [&](const berth::park::v1::Hello& h) {
    WorldDevice d(w, {.client_id = "not used"});
    const int c = w.open();
    std::string bytes = park::encode_greeting(
        {.nonce = std::string(16, 'n'), .server_time_ms = 1, .crc_wanted = true}, park::kCrc);
    park::put_frame(bytes, FrameType::hello, park::kCrc, 0, h.SerializeAsString());
    w.feed(c, bytes);
    park::Frame f;
    berth::park::v1::Error e;
    const std::string heard = w.take_bytes(c);
    EXPECT_EQ(park::next_frame(base::as_bytes(heard), 1 << 20, f), park::FrameStatus::complete);
    EXPECT_TRUE(e.ParseFromArray(f.payload.data(), int(f.payload.size())));
    return e;
  };
  berth::park::v1::Hello h;
  h.set_version(9);
  h.set_client_id("cam-9");
  h.set_auth_id("cam@acme");
  EXPECT_NE(hello(h).text().find("version 9"), std::string::npos);
  expect_line({"client refused", "client=cam-9", "user=cam@acme", "version 9", "code=0x84"});
  h.set_version(1);
  h.set_client_id("cam 9");
  EXPECT_EQ(hello(h).code(), 0x85u);
  expect_line({"client refused", "client=\"cam 9\"", "1 to 64 letters", "code=0x85"});
  h.set_client_id("cam-9");
  h.set_password("p");
  EXPECT_EQ(hello(h).text(), "a password without TLS");
  expect_line({"client refused", "client=cam-9", "a password without TLS", "code=0x8c"});
  h.clear_password();
  w.on_login([](const session::AuthRequest&) {
    session::AuthResult r;
    r.reason = protocol::mqtt::Reason::connection_rate_exceeded;
    r.why = "too many failed log-ins: auth.failures_per_name";
    r.limit = "failures_per_name";
    r.retry_after_ms = 7000;
    return r;
  });
  const berth::park::v1::Error e = hello(h);
  EXPECT_EQ(e.code(), 0x9fu);
  EXPECT_EQ(e.quota(), "failures_per_name");
  EXPECT_EQ(e.retry_after_ms(), 7000u);
  EXPECT_NE(e.text().find("too many failed log-ins"), std::string::npos);
  std::string old = connect({.client_id = "m-9", .version = 4});
  old[8] = 9;  // the level, behind the name
  w.feed(w.open(), old);
  expect_line({"client refused", "client=m-9", "version 9", "code=0x84"});
}

TEST_F(Refusals, WhoseRightsHaveEndedHearsWhichDo) {
  Site s;
  WorldDevice d(s.w, {.client_id = "gate", .auth_id = "acme/d/gate-7"});
  d.come();
  s.book.disabled.insert(session::Principal{"acme", session::Role::device, "gate-7"}.key());
  s.review();
  d.pump();
  ASSERT_EQ(d.ends.size(), 1u);
  EXPECT_EQ(d.ends[0].code, 0x98u);
  EXPECT_EQ(d.ends[0].text, "disabled in the registry");
  expect_line({"client disconnected", "cause=policy", "device=gate-7", "disabled in the registry"});
}

// It has come back before the end of its connection had its turn: no fight about its session.
TEST_F(Refusals, AnEndThatIsKnownIsNoTakeOver) {
  World w;
  const ConnectOptions o{.client_id = "gate", .clean = false, .properties = expiry(60)};
  const int a = w.open_connected(o);
  const int b = w.open();
  w.close_and_feed(a, CloseReason::keepalive_timeout, b, connect(o));
  EXPECT_EQ(w.probe().session_taken_over, 0u);
  EXPECT_EQ(w.packets(b).at(0).body[0], 1) << "the session has gone on";
  EXPECT_EQ(lines_with("session taken over"), 0u);
  EXPECT_EQ(lines_with("client disconnected"), 1u);
  expect_line({"client disconnected", "cause=keepalive_timeout", "client=gate"});
  const int c = w.open_connected(o);
  EXPECT_EQ(w.probe().session_taken_over, 1u) << "the connection before was alive";
  EXPECT_EQ(lines_with("session taken over"), 1u);
  EXPECT_FALSE(w.ended(c));
}

TEST_F(Refusals, AParkDeviceEndsInItsOwnWords) {
  World w;
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  d.device().bye();
  d.pump();
  expect_line({"client disconnected", "cause=client", "reason=BYE"});
  w.close(d.c);
  d.come();
  w.close(d.c, CloseReason::keepalive_timeout);
  expect_line({"client disconnected", "two and a half times the heartbeat", "code=0x8d"});
}

TEST_F(Refusals, WhatIsNoReportUnderV1IsSaid) {
  Site s;
  const int d = s.come("acme/d/gate-7", "gate");
  for (const char* topic : {"v1/event/plate", "v1/telemetry/x", "v1/state", "v1/cmd/9/res",
                            "v1/sub/loop/event/plate", "device/gate-7/up"})
    s.w.feed(d, publish(topic, "x", 1, 1));
  EXPECT_EQ(s.w.probe().untranslated, 0u);
  for (const char* topic : {"v1/foo", "v1/cmd/9", "v1/event", "v1/event/a/b", "v1/sub/loop"})
    s.w.feed(d, publish(topic, "x", 1, 1));
  EXPECT_EQ(s.w.probe().untranslated, 5u);
  expect_line({"publish is no report", "tenant=acme", "device=gate-7", "topic=v1/cmd/9"});
}

}  // namespace
}  // namespace berth::test
