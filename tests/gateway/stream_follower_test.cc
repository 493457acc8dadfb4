// StreamFollower: what an edge knows of each device protocol, by the same questions to all of them.
#include "gateway/edge/stream_follower.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/mqtt/reason_text.h"
#include "protocol/park/frame.h"
#include "tests/support/wire.h"

namespace berth {
namespace {

using gateway::edge::Elsewhere;
using gateway::edge::Farewell;
using gateway::edge::First;
using gateway::edge::FollowerPlace;
using gateway::edge::StreamFacts;
using gateway::edge::StreamFollower;
using gateway::edge::Transport;
using protocol::mqtt::Reason;

const StreamFacts kPlain{.tls = false, .connected = true, .version = 5};

std::string park_frame(protocol::park::FrameType type) {
  std::string bytes;
  protocol::park::put_frame(bytes, type, protocol::park::kCrc, 9, {});
  return bytes;
}

struct Case {
  const char* name;
  Transport transport;
  std::string packet;   // whole, no heartbeat
  std::string ping;     // a heartbeat
  std::string goodbye;  // what a device says last
  std::string foreign;  // no packet of this protocol
};

std::vector<Case> cases() {
  const std::string publish = test::publish("lot/1", "payload", 1, 7);
  const std::string ping = park_frame(protocol::park::FrameType::ping);
  return {
      {"mqtt", Transport::mqtt, publish, std::string("\xc0\x00", 2), std::string("\xe0\x00", 2),
       "PRK!"},
      {"park", Transport::park, ping, ping, park_frame(protocol::park::FrameType::bye), publish}};
}

struct Walked {
  bool good = true;
  std::vector<std::string> answers;
};

Walked walk(StreamFollower& f, const std::string& bytes, std::size_t step) {
  Walked w;
  for (std::size_t at = 0; at < bytes.size() && w.good; at += step) {
    const std::string some = bytes.substr(at, step);
    w.good = f.walk(base::as_bytes(some), at == 0, kPlain,
                    [&](std::string_view pong) { w.answers.emplace_back(pong); });
  }
  return w;
}

TEST(StreamFollower, AnswersEachHeartbeatOnceHoweverItsBytesCome) {
  for (const Case& c : cases()) {
    const std::string stream = c.packet + c.ping + c.packet + c.ping;
    const std::size_t wanted = c.packet == c.ping ? 4 : 2;
    for (std::size_t step = 1; step <= stream.size(); ++step) {
      StreamFollower f(c.transport);
      const Walked w = walk(f, stream, step);
      EXPECT_TRUE(w.good) << c.name << " " << step;
      EXPECT_EQ(w.answers.size(), wanted) << c.name << " " << step;
      EXPECT_TRUE(f.at_boundary()) << c.name << " " << step;
      EXPECT_EQ(f.unfinished(), 0u) << c.name << " " << step;
    }
  }
}

TEST(StreamFollower, GoesOnInAnotherProcessAtEachByte) {
  for (const Case& c : cases()) {
    const std::string stream = c.packet + c.ping;
    for (std::size_t at = 1; at < stream.size(); ++at) {
      StreamFollower f(c.transport);
      Walked all = walk(f, stream.substr(0, at), 1);
      StreamFollower next(c.transport);
      const FollowerPlace place = f.save();
      ASSERT_TRUE(next.go_on_from(place)) << c.name << " " << at;
      EXPECT_EQ(next.at_boundary(), f.at_boundary()) << c.name << " " << at;
      EXPECT_EQ(next.unfinished(), f.unfinished()) << c.name << " " << at;
      for (std::size_t i = at; i < stream.size(); ++i) {
        const std::string byte = stream.substr(i, 1);
        EXPECT_TRUE(next.walk(base::as_bytes(byte), false, kPlain,
                              [&](std::string_view pong) { all.answers.emplace_back(pong); }));
      }
      EXPECT_EQ(all.answers.size(), c.packet == c.ping ? 2u : 1u) << c.name << " " << at;
      EXPECT_TRUE(next.at_boundary()) << c.name << " " << at;
    }
  }
}

TEST(StreamFollower, TellsWholePacketsAndGoodbyes) {
  for (const Case& c : cases()) {
    const StreamFollower f(c.transport);
    EXPECT_TRUE(f.has_whole_packet(base::as_bytes(c.packet))) << c.name;
    for (std::size_t n = 1; n < c.packet.size(); ++n)
      EXPECT_FALSE(f.has_whole_packet(base::as_bytes(c.packet.substr(0, n)))) << c.name << n;
    EXPECT_FALSE(f.has_goodbye({})) << c.name;
    EXPECT_FALSE(f.has_goodbye(base::as_bytes(c.packet))) << c.name;
    EXPECT_TRUE(f.has_goodbye(base::as_bytes(c.packet + c.goodbye))) << c.name;
    EXPECT_FALSE(f.has_goodbye(base::as_bytes(c.packet + c.goodbye.substr(0, 1)))) << c.name;
  }
}

TEST(StreamFollower, SaysWhatIsWrongWithAStreamThatIsAnotherProtocols) {
  for (const Case& c : cases()) {
    StreamFollower f(c.transport);
    EXPECT_FALSE(walk(f, c.foreign, c.foreign.size()).good) << c.name;
    EXPECT_FALSE(f.fault(base::as_bytes(c.foreign), true).text.empty()) << c.name;
    EXPECT_FALSE(f.fault(base::as_bytes(c.foreign), true).too_large) << c.name;
  }
}

TEST(StreamFollower, SendsADeviceElsewhereInItsOwnWords) {
  const Elsewhere elsewhere{.server_reference = "b.example:8883", .park_endpoint = "b.example:7"};
  const Farewell planned{.reason = Reason::server_shutting_down,
                         .text = {},
                         .elsewhere = elsewhere,
                         .come_back_after_ms = 10};
  const StreamFollower mqtt(Transport::mqtt);
  const std::string moved = mqtt.farewell(planned, kPlain);
  ASSERT_GT(moved.size(), 3u);
  EXPECT_EQ(moved[0], '\xe0');
  EXPECT_EQ(moved[2], static_cast<char>(Reason::use_another_server));
  EXPECT_NE(moved.find("b.example:8883"), std::string::npos);
  EXPECT_EQ(mqtt.farewell(planned, {.connected = true, .version = 4}), "");
  EXPECT_EQ(mqtt.farewell(planned, {.connected = false, .version = 0}), "");
  const StreamFollower park(Transport::park);
  EXPECT_NE(park.farewell(planned, kPlain).find("b.example:7"), std::string::npos);
}

TEST(StreamFollower, RefusesBeforeLogInInTheVersionOfTheConnect) {
  const Elsewhere nowhere;
  const Farewell banned{.reason = Reason::banned, .text = {}, .elsewhere = nowhere};
  const StreamFacts before{.connected = false};
  const StreamFollower mqtt(Transport::mqtt);
  EXPECT_EQ(mqtt.refusal(banned, before, {}), "");
  const std::string connect = test::connect({.client_id = "a"});
  std::string client_id;
  EXPECT_EQ(mqtt.peek(base::as_bytes(connect), client_id), First::login);
  EXPECT_EQ(client_id, "a");
  const std::string answer = mqtt.refusal(banned, before, base::as_bytes(connect));
  ASSERT_GE(answer.size(), 4u);
  EXPECT_EQ(answer[0], '\x20');
  EXPECT_EQ(answer[3], static_cast<char>(Reason::banned));
  const StreamFollower park(Transport::park);
  EXPECT_NE(park.refusal(banned, before, {}).find(protocol::mqtt::text_of(Reason::banned)),
            std::string::npos);
}

TEST(StreamFollower, AsksForMoreOfALogInThatIsIncomplete) {
  const std::string connect = test::connect({.client_id = "a"});
  for (std::size_t n = 1; n < connect.size(); ++n) {
    StreamFollower f(Transport::mqtt);
    EXPECT_TRUE(walk(f, connect.substr(0, n), n).good);
    EXPECT_TRUE(f.waits_for_more(static_cast<std::uint8_t>(connect[0]), n)) << n;
  }
  StreamFollower f(Transport::mqtt);
  EXPECT_TRUE(walk(f, connect, connect.size()).good);
  EXPECT_FALSE(f.waits_for_more(static_cast<std::uint8_t>(connect[0]), connect.size()));
  const std::string large("\x10\xff\xff\x7f\x00\x04MQTT\x05", 11);
  std::string client_id;
  std::string answer;
  EXPECT_EQ(f.peek(base::as_bytes(large), client_id), First::too_large);
  EXPECT_FALSE(f.refuse_large(base::as_bytes(large.substr(0, 5)), answer));
  EXPECT_TRUE(f.refuse_large(base::as_bytes(large), answer));
  ASSERT_GE(answer.size(), 4u);
  EXPECT_EQ(answer[3], static_cast<char>(Reason::packet_too_large));
}

TEST(StreamFollower, GreetsOnlyWhereTheProtocolWantsIt) {
  EXPECT_EQ(StreamFollower(Transport::mqtt).greeting({}), "");
  const std::string a = StreamFollower(Transport::parks).greeting({.tls = true});
  const std::string b = StreamFollower(Transport::parks).greeting({.tls = true});
  EXPECT_FALSE(a.empty());
  EXPECT_NE(a, b);  // a nonce each
}

}  // namespace
}  // namespace berth
