// What is said in one segment, too large, or behind input that nobody reads. In both shapes.
#include <gtest/gtest.h>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

class Wire : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> flags() const {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, Wire, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

TEST_P(Wire, APingBeforeConnackIsAnsweredBehindIt) {
  GatewayProcess g(flags());
  for (int version : {4, 5}) {
    for (int i = 0; i < 10; ++i) {
      RawClient c(g.mqtt_port());
      c.send(connect({.client_id = "p", .version = version}) + pingreq() +
             subscribe(1, "t", 0, version) + publish("t", "x", 0, 0, version) + pingreq());
      const auto first = c.until(13);
      ASSERT_FALSE(first.empty());
      ASSERT_EQ(first.back().type, 13u);
      EXPECT_EQ(first.front().type, 2u) << "CONNACK first";
      EXPECT_EQ(c.until(13).back().type, 13u);
    }
  }
  RawClient refused(g.mqtt_port());
  refused.send(connect({.client_id = std::string(70, '\1'), .version = 9}) + pingreq());
  for (const auto& p : refused.until(13, std::chrono::seconds(2))) EXPECT_NE(p.type, 13u);
}

// Bytes come until the end of the stream; an RST would take back what was not read before it.
TEST_P(Wire, DisconnectIsHeardBehindInputThatNobodyReads) {
  GatewayProcess g(flags());
  const std::string rest(400'000, 'x');
  for (int i = 0; i < 20; ++i) {
    const int fd = connect_loopback(g.mqtt_port(), 4096);
    const std::string bytes = connect({.client_id = "d"}) + from_hex("30 ff ff ff 7f") + rest;
    std::size_t sent = 0;
    std::string got;
    char some[4096];
    ssize_t n = 0;
    pollfd p{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
    while (poll(&p, 1, 20'000) > 0) {
      if ((p.revents & POLLOUT) != 0 && sent < bytes.size()) {
        const ssize_t k =
            ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k > 0) sent += static_cast<std::size_t>(k);
        if (sent == bytes.size() || (k < 0 && errno != EAGAIN)) p.events = POLLIN;
        if (k < 0 && errno != EAGAIN) sent = bytes.size();
      }
      if ((p.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
      n = recv(fd, some, sizeof some, 0);
      if (n <= 0) break;
      got.append(some, static_cast<std::size_t>(n));
    }
    ::close(fd);
    const auto packets = take_packets(got);
    ASSERT_FALSE(packets.empty());
    EXPECT_EQ(packets.back().type, 14u);
    EXPECT_EQ(packets.back().body[0], '\x95');
  }
}

TEST_P(Wire, ALargeConnectIsToldSo) {
  GatewayProcess g(flags());
  for (const int version : {4, 5}) {
    for (const std::size_t piece : {std::size_t{7}, std::size_t{1} << 20}) {
      RawClient c(g.mqtt_port());
      const std::string bytes = connect({.client_id = "l",
                                         .version = version,
                                         .will_topic = "w",
                                         .will_payload = std::string(65'000, 'w'),
                                         .user = std::string(2000, 'u')});
      for (std::size_t at = 0; at < std::min<std::size_t>(bytes.size(), 100 * piece); at += piece)
        c.send(std::string_view(bytes).substr(at, piece));
      const auto all = c.until(2);
      ASSERT_FALSE(all.empty());
      EXPECT_EQ(all.back().body[1], version == 5 ? '\x95' : '\x03');
      EXPECT_TRUE(c.closed_within(std::chrono::seconds(10)));
    }
  }
}

TEST_P(Wire, APictureOfNineMegabytesComesThrough) {
  GatewayProcess g(flags());
  auto c = subscribed(g.mqtt_port(), {.client_id = "camera"}, "pictures", 1);
  const std::string picture(9'000'000, 'p');
  c->send(publish("pictures", picture, 1, 1));
  const auto all = c->until(3, std::chrono::seconds(60));
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().type, 3u);
  EXPECT_EQ(all.back().body.size(), picture.size() + 2 + 8 + 2 + 1);
  EXPECT_FALSE(c->gone());
}

// Who does not wait for CONNACK may say as much as it likes: what is too much waits in its socket.
TEST_P(Wire, MuchBehindAConnectIsNotTooMuch) {
  GatewayProcess g(flags());
  RawClient c(g.mqtt_port());
  std::string bytes = connect({.client_id = "eager"}) + subscribe(1, "e", 0);
  for (int i = 0; i < 100; ++i) bytes += publish("x", std::string(10'000, 'e'));
  bytes += publish("e", "last");
  c.send(bytes);
  const auto all = c.until(3);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front().type, 2u);
  EXPECT_EQ(all.back().payload(5), "last");
}

}  // namespace
}  // namespace berth::test
