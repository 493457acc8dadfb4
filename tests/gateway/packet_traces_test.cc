// Traces of one client's packets: what a line says, whose packets are traced, and the bounds.
#include "gateway/engine/packet_traces.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/engine/packet_words.h"
#include "protocol/park/frame.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

namespace json = boost::json;
using gateway::engine::PacketCutter;
using gateway::engine::PacketTraces;
using Words = std::vector<std::string>;

Words words_of(PacketCutter::Protocol protocol, const std::string& bytes, std::size_t step) {
  PacketCutter cutter;
  cutter.use(protocol);
  Words all;
  for (std::size_t at = 0; at < bytes.size(); at += step)
    cutter.feed(std::string_view(bytes).substr(at, step),
                [&](const std::string& w) { all.push_back(w); });
  return all;
}

TEST(PacketWords, AreTheSameInWhateverPartsThePacketsCome) {
  const std::string bytes = publish("v1/event/plate", std::string(3000, 'p'), 1, 7) +
                            publish("a", "", 0, 0, 5, true) + subscribe(2, "v1/cmd/#", 1) +
                            ack(4, 7) + packet(0xe0, std::string("\x8e\x00", 2)) + packet(0xc0, "");
  const Words wanted{"PUBLISH topic=v1/event/plate qos=1 id=7 size=3022",
                     "PUBLISH topic=a qos=0 retain size=6",
                     "SUBSCRIBE id=2 filter=v1/cmd/# qos=1 size=16",
                     "PUBACK id=7 size=4",
                     "DISCONNECT code=0x8e size=4",
                     "PINGREQ size=2"};
  for (const std::size_t step : {1u, 2u, 7u, 1000u, 10'000u})
    EXPECT_EQ(words_of(PacketCutter::Protocol::mqtt5, bytes, step), wanted) << step;
}

TEST(PacketWords, OfParkAndOfWhatIsNoPacket) {
  std::string bytes;
  protocol::park::put_frame(bytes, protocol::park::FrameType::event, 0, 5, std::string(2000, 'e'));
  protocol::park::put_frame(bytes, protocol::park::FrameType::command,
                            protocol::park::kCrc | protocol::park::kAgain, 1, "open");
  for (const std::size_t step : {1u, 11u, 5000u})
    EXPECT_EQ(words_of(PacketCutter::Protocol::park, bytes, step),
              (Words{"EVENT seq=5 size=2012", "COMMAND seq=1 again size=20"}));
  EXPECT_EQ(words_of(PacketCutter::Protocol::mqtt311, std::string(100, '\xff'), 3), Words{});
  // A topic that is longer than what is kept, and packets that lie about their lengths.
  EXPECT_EQ(words_of(PacketCutter::Protocol::mqtt5, publish(std::string(3000, 't'), "x"), 100),
            Words{"PUBLISH topic=... qos=0 size=3007"});
  EXPECT_EQ(words_of(PacketCutter::Protocol::mqtt5, packet(0x82, "\x01"), 1).size(), 1u);
  EXPECT_EQ(words_of(PacketCutter::Protocol::mqtt5, packet(0x30, ""), 1).size(), 1u);
}

struct Traced : Site {
  json::object ask(json::object q) {
    return json::parse(traces.ask(json::serialize(q), w.now())).as_object();
  }
  std::int64_t begin(const char* id, const char* client, const char* tenant = "",
                     std::int64_t for_ms = 60'000) {
    return ask({{"do", "begin"},
                {"trace", id},
                {"client", client},
                {"tenant", tenant},
                {"for_ms", for_ms}})
        .at("connections")
        .as_int64();
  }
  Words lines(const char* id, std::int64_t after = 0) {
    Words all;
    const json::object said = ask({{"do", "read"}, {"trace", id}, {"after", after}});
    if (said.contains("unknown")) return {"unknown"};
    for (const json::value& v : said.at("lines").as_array())
      all.push_back(std::string(v.at("text").as_string()));
    return all;
  }
  base::ConnId conn(const char* client) {
    for (const session::Session* s : w.broker().core().sessions.all()) {
      if (session::client_id_of(s->client_id) == client && s->channel != nullptr)
        return s->channel->conn;
    }
    return base::kNoConn;
  }
  PacketTraces traces{w.broker()};
};

TEST(PacketTraces, AreOfOneClientByItsIdOrItsName) {
  Traced t;
  t.come("acme/d/cam-1", "c");
  t.come("other/d/cam-1", "o");
  EXPECT_TRUE(t.traces.idle());
  EXPECT_EQ(t.begin("by-id", "c"), 1);
  EXPECT_EQ(t.begin("by-name", "cam-1"), 2);
  EXPECT_EQ(t.begin("by-tenant", "cam-1", "acme"), 1);
  EXPECT_EQ(t.begin("nobody", "cam"), 0);
  const std::string p = publish("v1/event/x", "secret", 1, 3);
  t.traces.in(t.conn("c"), base::as_bytes(p), t.w.now());
  t.traces.out(t.conn("o"), ack(4, 9), {}, t.w.now());
  const std::string in = "c > PUBLISH topic=v1/event/x qos=1 id=3 size=23";
  EXPECT_EQ(t.lines("by-id"), Words{in});
  EXPECT_EQ(t.lines("by-name"), (Words{in, "o < PUBACK id=9 size=4"}));
  EXPECT_EQ(t.lines("by-tenant"), Words{in});
  EXPECT_EQ(t.lines("by-name", 1), Words{"o < PUBACK id=9 size=4"});
  EXPECT_EQ(t.lines("nobody"), Words{});
}

TEST(PacketTraces, HaveTheComingAndGoingOfTheClient) {
  Traced t;
  EXPECT_EQ(t.begin("t", "c"), 0);
  const int cam = t.come("acme/d/cam-1", "c");
  const base::ConnId conn = t.conn("c");
  t.traces.connected(conn, t.w.now());
  t.traces.closed(conn, protocol::link::CloseReason::peer_reset, t.w.now());
  const Words all = t.lines("t");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].starts_with("c connected ")) << all[0];
  EXPECT_EQ(all[1], "c closed cause=peer_reset");
  EXPECT_TRUE(t.traces.idle());
  t.w.close(cam);
}

TEST(PacketTraces, AnAnswerStandsBehindWhatCausedIt) {
  Traced t;
  t.come("acme/d/cam-1", "c");
  t.begin("t", "c");
  t.traces.input_begins();
  t.traces.out(t.conn("c"), ack(4, 3), {}, t.w.now());
  t.traces.in(t.conn("c"), base::as_bytes(publish("a", "", 1, 3)), t.w.now());
  t.traces.out(t.conn("c"), ack(4, 4), {}, t.w.now());
  EXPECT_EQ(t.lines("t"), (Words{"c > PUBLISH topic=a qos=1 id=3 size=8", "c < PUBACK id=3 size=4",
                                 "c < PUBACK id=4 size=4"}));
}

TEST(PacketTraces, EndAndLeaveNothing) {
  Traced t;
  t.come("acme/d/cam-1", "c");
  t.begin("a", "c");
  t.begin("b", "c", "", 5000);
  t.ask({{"do", "end"}, {"trace", "a"}});
  EXPECT_EQ(t.lines("a"), Words{"unknown"});
  EXPECT_FALSE(t.traces.idle());
  t.w.advance_s(6);
  t.traces.tick(t.w.now());
  EXPECT_EQ(t.lines("b"), Words{"unknown"});
  EXPECT_TRUE(t.traces.idle());
}

TEST(PacketTraces, HaveBounds) {
  Traced t;
  t.come("acme/d/cam-1", "c");
  t.begin("0", "c");
  for (std::size_t i = 1; i < PacketTraces::kTracesMax; ++i)
    t.begin(std::to_string(i).c_str(), "x");
  EXPECT_TRUE(t.ask({{"do", "begin"}, {"trace", "more"}, {"client", "c"}}).contains("refused"));
  EXPECT_EQ(t.begin("0", "c"), 1) << "one that there is";
  const std::string p = publish(std::string(900, '\x01'), "");
  for (std::size_t i = 0; i < PacketTraces::kLinesMax + 10; ++i)
    t.traces.in(t.conn("c"), base::as_bytes(p), t.w.now());
  const json::object said = t.ask({{"do", "read"}, {"trace", "0"}, {"after", 4}});
  EXPECT_EQ(said.at("missed").as_int64(), 6);
  EXPECT_EQ(said.at("lines").as_array().size(), PacketTraces::kReadMax);
  EXPECT_LE(said.at("lines").as_array().at(0).at("text").as_string().size(),
            PacketTraces::kLineMax);
  EXPECT_LT(json::serialize(said).size(), std::size_t{1} << 20);
}

TEST(PacketTraces, WhatIsNoQuestionHasNoAnswer) {
  Traced t;
  for (const char* q : {"", "[]", "{", R"({"do":7})", R"({"do":"read"})", R"({"do":"begin"})"})
    EXPECT_TRUE(json::parse(t.traces.ask(q, t.w.now())).is_object()) << q;
}

}  // namespace
}  // namespace berth::test
