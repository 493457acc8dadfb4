#include "protocol/websocket/websocket.h"

#include <gtest/gtest.h>

namespace berth::protocol::websocket {
namespace {

// The request of RFC 6455 1.2, for MQTT.
std::string request(const std::string& more = "Sec-WebSocket-Protocol: mqtt\r\n",
                    const std::string& target = "/mqtt") {
  return "GET " + target +
         " HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: "
         "keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 13\r\n" +
         more + "\r\n";
}

std::string frame(unsigned first, const std::string& payload, bool masked = true) {
  std::string f(1, static_cast<char>(first));
  const char mask_bit = masked ? '\x80' : '\0';
  if (payload.size() < 126) {
    f.push_back(static_cast<char>(mask_bit | static_cast<char>(payload.size())));
  } else {
    f.push_back(static_cast<char>(mask_bit | 126));
    f.push_back(static_cast<char>(payload.size() >> 8));
    f.push_back(static_cast<char>(payload.size()));
  }
  if (!masked) return f + payload;
  const std::string mask("\x11\x9a\xe3\x7f", 4);
  f += mask;
  for (std::size_t i = 0; i < payload.size(); ++i)
    f.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  return f;
}

struct Peer {
  WebSocket ws{"/mqtt"};
  std::string data, reply;
  void say(std::string bytes, std::size_t piece = 1 << 20) {
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      std::string part = bytes.substr(at, piece);
      const std::size_t n =
          ws.receive(reinterpret_cast<std::uint8_t*>(part.data()), part.size(), reply);
      data.append(part, 0, n);
    }
  }
};

std::string status_of_close(const std::string& reply) {
  if (reply.size() < 4 || reply[reply.size() - 4] != '\x88') return "none";
  return std::to_string((static_cast<unsigned char>(reply[reply.size() - 2]) << 8) |
                        static_cast<unsigned char>(reply.back()));
}

// Who connects from a web page says so by its Origin; devices send none, or name where they
// connect.
TEST(WebSocket, PagesAreAdmittedByName) {
  const auto answer = [](const std::string& more, std::string_view origins) {
    WebSocket ws("/mqtt", origins);
    std::string bytes = request("Sec-WebSocket-Protocol: mqtt\r\n" + more);
    std::string reply;
    ws.receive(reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size(), reply);
    return reply.substr(9, 3);
  };
  const std::string page = "User-Agent: Mozilla/5.0\r\nOrigin: https://app.example\r\n";
  EXPECT_EQ(answer("", ""), "101");
  EXPECT_EQ(answer(page, ""), "403");
  EXPECT_EQ(answer(page, "https://other.example"), "403");
  EXPECT_EQ(answer(page, "http://app.example, https://APP.example"), "101");
  EXPECT_EQ(answer(page, "*"), "101");
  EXPECT_EQ(answer("Origin: null\r\n", ""), "403");
  EXPECT_EQ(answer("Origin: https://app.example\r\nOrigin: https://app.example\r\n",
                   "https://app.example"),
            "403");
  EXPECT_EQ(answer("Origin: http://server.example.com:8083\r\n", ""), "101") << "an MQTT library";
  EXPECT_EQ(answer("User-Agent: Mozilla/5.0\r\nOrigin: http://server.example.com\r\n", ""), "403")
      << "a page whose name was bound to this address";
}

TEST(WebSocket, HandshakeOfTheSpecification) {
  Peer p;
  p.say(request());
  EXPECT_TRUE(p.ws.established());
  EXPECT_EQ(p.reply.substr(0, 34), "HTTP/1.1 101 Switching Protocols\r\n");
  EXPECT_NE(p.reply.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            std::string::npos);
  EXPECT_NE(p.reply.find("Sec-WebSocket-Protocol: mqtt\r\n"), std::string::npos);
}

TEST(WebSocket, EveryDivisionOfTheStreamGivesTheSameBytes) {
  std::string all = request();
  std::string expected;
  for (const std::size_t n : {0u, 1u, 7u, 125u, 126u, 127u, 3000u}) {
    std::string payload;
    for (std::size_t i = 0; i < n; ++i) payload.push_back(static_cast<char>(i * 7));
    all += frame(0x82, payload) + frame(0x89, "are you there") + frame(0x02, payload) +
           frame(0x8a, "unasked") + frame(0x00, "x") + frame(0x80, payload);
    expected += payload + payload + "x" + payload;
  }
  for (const std::size_t piece : {1u, 2u, 3u, 5u, 64u, 1000u, 1u << 20}) {
    Peer p;
    p.say(all, piece);
    EXPECT_EQ(p.data, expected) << piece;
    EXPECT_FALSE(p.ws.ended()) << piece;
    EXPECT_NE(p.reply.find(std::string("\x8a\x0d", 2) + "are you there"), std::string::npos);
    Peer again;  // another process goes on in the middle of everything
    for (std::size_t at = 0; at < all.size(); at += piece) {
      again.say(all.substr(at, piece));
      if (piece < 64 && at > 4000) continue;
      const std::string saved = again.ws.save();
      again.ws = WebSocket{"/mqtt"};
      ASSERT_TRUE(again.ws.go_on_from(saved));
    }
    EXPECT_EQ(again.data, expected) << piece;
  }
}

TEST(WebSocket, WhatIsNoMqttOverWebSocketIsRefused) {
  const auto answer = [](const std::string& bytes) {
    Peer p;
    p.say(bytes);
    EXPECT_TRUE(p.ws.ended() && p.ws.failed());
    return p.reply.substr(9, 3);
  };
  EXPECT_EQ(answer(request("Sec-WebSocket-Protocol: chat\r\n")), "426");
  EXPECT_EQ(answer(request("")), "426");
  EXPECT_EQ(answer(request("Sec-WebSocket-Protocol: mqtt\r\n", "/other")), "404");
  EXPECT_EQ(answer("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n"), "426");
  EXPECT_EQ(answer("POST /mqtt HTTP/1.1\r\nHost: x\r\n\r\n"), "400");
  EXPECT_EQ(answer("\x10\x0c no HTTP at all \r\n\r\n"), "400");
  EXPECT_EQ(answer(request("X: " + std::string(9000, 'a') + "\r\n")), "431");
  std::string short_key = request();
  short_key.replace(short_key.find("dGhl"), 4, "");
  EXPECT_EQ(answer(short_key), "400");
}

TEST(WebSocket, OthersProtocolsAreSkippedAndAQueryIsIgnored) {
  Peer p;
  p.say(request("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", "/mqtt?token=x"));
  EXPECT_TRUE(p.ws.established());
}

TEST(WebSocket, TheNameOfMqtt31IsTakenWhereThereIsNoOther) {
  Peer old;
  old.say(request("Sec-WebSocket-Protocol: mqttv3.1\r\n"));
  EXPECT_TRUE(old.ws.established());
  EXPECT_NE(old.reply.find("Sec-WebSocket-Protocol: mqttv3.1\r\n"), std::string::npos);
  Peer both;
  both.say(request("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n"));
  EXPECT_NE(both.reply.find("Sec-WebSocket-Protocol: mqtt\r\n"), std::string::npos);
}

TEST(WebSocket, FramesAgainstTheRulesEndIt) {  // RFC 6455 5.1 to 5.5, 7.4.1
  const auto closed_with = [](const std::string& bytes) {
    Peer p;
    p.say(request());
    p.say(bytes);
    EXPECT_TRUE(p.ws.failed());
    return status_of_close(p.reply);
  };
  EXPECT_EQ(closed_with(frame(0x82, "unmasked", false)), "1002");
  EXPECT_EQ(closed_with(frame(0x81, "text")), "1003");
  EXPECT_EQ(closed_with(frame(0xc2, "compressed")), "1002");
  EXPECT_EQ(closed_with(frame(0x83, "unknown")), "1002");
  EXPECT_EQ(closed_with(frame(0x80, "nothing to continue")), "1002");
  EXPECT_EQ(closed_with(frame(0x02, "a") + frame(0x82, "b")), "1002");
  EXPECT_EQ(closed_with(frame(0x09, "a fragmented ping")), "1002");
  EXPECT_EQ(closed_with(frame(0x89, std::string(126, 'p'))), "1002");
  EXPECT_EQ(closed_with(frame(0x88, "x")), "1002");
  EXPECT_EQ(closed_with(std::string("\x82\xff\x80\0\0\0\0\0\0\0mask", 14)), "1002");
}

TEST(WebSocket, CloseIsAnsweredAndWhatFollowsIgnored) {
  Peer p;
  p.say(request() + frame(0x82, "last") + frame(0x88, std::string("\x03\xe9", 2) + "bye") +
        frame(0x82, "late"));
  EXPECT_EQ(p.data, "last");
  EXPECT_TRUE(p.ws.ended());
  EXPECT_FALSE(p.ws.failed());
  EXPECT_EQ(status_of_close(p.reply), "1001");
}

TEST(WebSocket, OurFramesHaveTheShortestLength) {  // 5.2
  const auto header = [](std::size_t n) {
    std::string h;
    WebSocket::put_header(h, n);
    return h;
  };
  EXPECT_EQ(header(125), std::string("\x82\x7d"));
  EXPECT_EQ(header(126), std::string("\x82\x7e\0\x7e", 4));
  EXPECT_EQ(header(65535), std::string("\x82\x7e\xff\xff"));
  EXPECT_EQ(header(65536), std::string("\x82\x7f\0\0\0\0\0\1\0\0", 10));
}

TEST(WebSocket, NonsenseToGoOnFromIsRefused) {
  Peer p;
  p.say(request() + frame(0x82, "abc").substr(0, 4));
  const std::string saved = p.ws.save();
  for (std::size_t n = 0; n < saved.size(); ++n)
    EXPECT_FALSE(WebSocket{"/mqtt"}.go_on_from(saved.substr(0, n))) << n;
}

}  // namespace
}  // namespace berth::protocol::websocket
