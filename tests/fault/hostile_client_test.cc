// Clients that send nonsense, too much, too little or never read: each is bounded, counted, and its
// neighbours notice nothing. In both shapes.
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

class Hostile : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> flags() const {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, Hostile, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

// A device beside the trouble: everything it publishes must come back.
class Neighbour {
 public:
  explicit Neighbour(int port) : c_(port) {
    c_.send(connect({.client_id = "neighbour"}) + subscribe(1, "n", 1));
    c_.until(9);
  }
  bool well() {
    c_.send(publish("n", "x", 1, ++id_));
    const auto all = c_.until(3);
    if (all.empty() || all.back().type != 3) return false;
    c_.send(ack(4, all.back().id()));
    return true;
  }

 private:
  RawClient c_;
  unsigned id_ = 0;
};

TEST_P(Hostile, NonsenseIsClosedAndCounted) {
  GatewayProcess g(flags());
  Neighbour n(g.mqtt_port());
  const std::string bad[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                             from_hex("10 ff ff ff ff 7f"),
                             from_hex("00 00"),
                             from_hex("f0 00"),
                             from_hex("10 04 00 04 4d 51"),
                             connect({}) + from_hex("36 05 00 01 61 00 01"),
                             connect({}) + publish("a/#", "x"),
                             connect({}) + from_hex("82 02 00 01"),
                             connect({}) + connect({})};
  for (const std::string& bytes : bad) {
    RawClient c(g.mqtt_port());
    c.send(bytes);
    if (bytes == from_hex("10 04 00 04 4d 51")) c.send(std::string(20, 'x'));
    EXPECT_TRUE(c.closed_within(std::chrono::seconds(10))) << bytes;
    EXPECT_TRUE(n.well());
  }
  EXPECT_GE(g.metric("berth_connections_closed_before_login_total{reason=\"protocol_error\"}") +
                g.metric("berth_connection_closed_total{reason=\"protocol_error\"}"),
            5);
}

TEST_P(Hostile, MutatedPacketsNeverHurtNeighbours) {
  GatewayProcess g(flags());
  Neighbour n(g.mqtt_port());
  std::mt19937 random(42);
  const std::string good = connect({.will_topic = "w", .will_payload = "x"}) +
                           subscribe(1, "a/#", 1) + publish("a/b", "payload", 2, 3, 5, true) +
                           ack(6, 3) + unsubscribe(2, "a/#") + pingreq();
  for (int i = 0; i < 400; ++i) {
    std::string bytes = good;
    for (unsigned k = 0; k < 1 + random() % 6; ++k)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(1 + random() % bytes.size());
    RawClient c(g.mqtt_port());
    ASSERT_TRUE(c.connected());
    c.send(bytes);
    if (i % 50 != 0) continue;
    ASSERT_TRUE(n.well()) << i;
  }
  EXPECT_TRUE(n.well());
  EXPECT_EQ(g.metric("berth_engine_deaths_total"), 0);
}

TEST_P(Hostile, SilentAndSlowHandshakesEndInTime) {
  setenv("BERTH_MQTT_CONNECT_TIMEOUT_S", "1", 1);
  GatewayProcess g(flags());
  unsetenv("BERTH_MQTT_CONNECT_TIMEOUT_S");
  RawClient silent(g.mqtt_port());
  RawClient slow(g.mqtt_port());
  slow.send(connect({}).substr(0, 5));
  EXPECT_TRUE(silent.closed_within(std::chrono::seconds(10)));
  EXPECT_TRUE(slow.closed_within(std::chrono::seconds(10)));
  EXPECT_EQ(g.metric("berth_connections_closed_before_login_total{reason=\"handshake_timeout\"}"),
            2);
}

// Who sends half a CONNECT holds up nobody: admission counts what engines have not answered.
TEST_P(Hostile, HalfConnectsDoNotSlowAdmission) {
  GatewayProcess g(flags());
  std::vector<std::unique_ptr<RawClient>> half;
  for (int i = 0; i < 600; ++i) {
    half.push_back(std::make_unique<RawClient>(g.mqtt_port()));
    half.back()->send(connect({.client_id = "half"}).substr(0, 9));
  }
  EXPECT_TRUE(eventually([&] { return g.metric("berth_connections_unauthenticated") == 600; }));
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(Neighbour(g.mqtt_port()).well());
    EXPECT_GE(g.metric("berth_accept_rate_limit"), 1000);
  }
}

TEST_P(Hostile, KeepAliveEndsASilentDeviceAndAnswersALivingOne) {
  GatewayProcess g(flags());
  RawClient silent(g.mqtt_port());
  silent.send(connect({.client_id = "silent", .keep_alive_s = 1}));
  silent.until(2);
  RawClient alive(g.mqtt_port());
  alive.send(connect({.client_id = "alive", .keep_alive_s = 1}));
  alive.until(2);
  EXPECT_TRUE(eventually([&] {
    alive.send(pingreq());
    EXPECT_FALSE(alive.until(13, std::chrono::seconds(2)).empty());
    return silent.closed_within(std::chrono::milliseconds(100));
  }));
  EXPECT_FALSE(alive.gone());
  EXPECT_EQ(g.metric("berth_connection_closed_total{reason=\"keepalive_timeout\"}"), 1);
}

TEST_P(Hostile, TooMuchBeforeConnectAndTooLargeAPacketAreClosed) {
  GatewayProcess g(flags());
  RawClient big(g.mqtt_port());
  big.send(from_hex("10 ff ff 7f") + std::string(70'000, 'x'));
  EXPECT_TRUE(big.closed_within(std::chrono::seconds(10)));
  RawClient large(g.mqtt_port());
  large.send(connect({}) + from_hex("30 ff ff ff 7f"));
  const auto all = large.until(14);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().body[0], '\x95');
}

// Many connections with one client id, flapping, with a backlog.
TEST_P(Hostile, ConcurrentTakeOversOfOneIdWedgeNothing) {
  GatewayProcess g(flags());
  Neighbour n(g.mqtt_port());
  const ConnectOptions o{.client_id = "same", .clean = false, .properties = expiry(600)};
  {
    RawClient first(g.mqtt_port());
    first.send(connect(o) + subscribe(1, "b", 1));
    first.until(9);
  }
  RawClient p(g.mqtt_port());
  p.send(connect({.client_id = "p"}));
  p.until(2);
  for (unsigned i = 1; i <= 200; ++i) {
    p.send(publish("b", std::to_string(i), 1, i));
    p.until(4);
  }
  std::vector<std::unique_ptr<RawClient>> all;
  for (int i = 0; i < 150; ++i) {
    all.push_back(std::make_unique<RawClient>(g.mqtt_port()));
    all.back()->send(connect(o));
    if (i % 3 == 0) all.back()->close();
    if (i % 7 == 0) all.back()->until(2, std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(eventually([&] {  // all have had their turn: shards do not wait for one another
    return g.metric("berth_connections_accepted_total") >= 152 &&
           g.metric("berth_connections_unauthenticated") == 0;
  }));
  RawClient last(g.mqtt_port());
  last.send(connect(o));
  const auto packets = last.until(2);
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets.back().body[0], 1);
  for (unsigned i = 1; i <= 200; ++i) {
    const auto got = last.until(3);
    ASSERT_FALSE(got.empty());
    ASSERT_EQ(got.back().payload(5), std::to_string(i));
    last.send(ack(4, got.back().id()));
  }
  EXPECT_TRUE(n.well());
}

// I9: a subscriber that never reads costs its own buffer and no more.
TEST_P(Hostile, NeverReadingSubscriberIsBounded) {
  GatewayProcess g(flags());
  Neighbour n(g.mqtt_port());
  RawClient lazy(g.mqtt_port(), 4096);
  lazy.send(connect({.client_id = "lazy"}) + subscribe(1, "flood", 0));
  lazy.until(9);
  RawClient flood(g.mqtt_port());
  flood.send(connect({.client_id = "flood"}));
  flood.until(2);
  const std::string chunk = publish("flood", std::string(10'000, 'f'));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(flood.send(chunk));  // 20 MB
  flood.send(publish("done", "x", 1, 1));
  flood.until(4);
  EXPECT_GT(g.metric("berth_messages_dropped_total{reason=\"slow_consumer_qos0\"}"), 100);
  EXPECT_LT(g.metric("berth_outbound_buffer_bytes"), 3e6);
  EXPECT_TRUE(n.well());
  RawClient hears(g.mqtt_port());
  hears.send(connect({.client_id = "hears"}) + subscribe(1, "from/lazy", 1));
  hears.until(9);
  for (const char* said : {"1", "2", "3"}) {  // slow, but not silenced
    lazy.send(publish("from/lazy", said, 1, 1));
    const auto got = hears.until(3);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back().payload(5), said);
    hears.send(ack(4, got.back().id()));
  }
}

// Writes `chunk` again and again without reading, until nothing has gone out for a second or `most`
// bytes have. How many went.
std::size_t flood(int fd, std::string_view chunk, std::size_t most) {
  std::size_t sent = 0;
  std::string_view rest = chunk;
  pollfd p{.fd = fd, .events = POLLOUT, .revents = 0};
  while (sent < most && poll(&p, 1, 1000) > 0) {
    const ssize_t n = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0 && errno != EAGAIN) break;
    if (n <= 0) continue;
    sent += static_cast<std::size_t>(n);
    rest.remove_prefix(static_cast<std::size_t>(n));
    if (rest.empty()) rest = chunk;
  }
  return sent;
}

// I9: who does not read its answers (acknowledgements, heartbeats) is not read either, until it
// does.
TEST_P(Hostile, AnswersThatNobodyReadsAreBounded) {
  GatewayProcess g(flags());
  Neighbour n(g.mqtt_port());
  struct Asked {
    const char* what;
    std::string packet;
    std::size_t answer;  // bytes
  };
  for (const Asked& a : {Asked{"PUBLISH", publish("t", "x", 1, 1), 5}, {"PINGREQ", pingreq(), 2}}) {
    std::string chunk;
    while (chunk.size() < 8000) chunk += a.packet;
    const int fd = connect_loopback(g.mqtt_port(), 4096);
    const std::string hello = connect({.client_id = "flood"});
    ASSERT_EQ(::send(fd, hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
    char connack[64];
    const std::size_t extra = static_cast<std::size_t>(recv(fd, connack, sizeof connack, 0)) -
                              static_cast<std::size_t>(connack[1]) - 2;
    const std::size_t most = 100'000'000;
    const std::size_t sent = flood(fd, chunk, most);
    EXPECT_LT(sent, most) << a.what;
    EXPECT_LT(g.metric("berth_outbound_buffer_bytes"), 8e6) << a.what;
    EXPECT_TRUE(n.well()) << a.what;
    const std::size_t expected = sent / a.packet.size() * a.answer;
    std::size_t got = extra;
    static char buffer[1 << 16];
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    while (got < expected && poll(&p, 1, 20'000) > 0) {
      const ssize_t k = recv(fd, buffer, sizeof buffer, 0);
      if (k <= 0) break;
      got += static_cast<std::size_t>(k);
    }
    EXPECT_EQ(got, expected) << a.what << ": it goes on as soon as it reads";
    ::close(fd);
  }
}

// A device that sends faster than its subscriber's queue is drained is slowed or its messages queue
// within limits; memory stays bounded and order is kept.
TEST_P(Hostile, Qos1FloodToASlowSubscriberKeepsOrderAndBounds) {
  GatewayProcess g(flags());
  RawClient slow(g.mqtt_port(), 4096);
  slow.send(connect({.client_id = "slow", .properties = from_hex("21 00 05")}) +
            subscribe(1, "f", 1));
  slow.until(9);
  RawClient p(g.mqtt_port());
  p.send(connect({.client_id = "p"}));
  p.until(2);
  const int total = 2000;
  for (int i = 1; i <= total; ++i) {
    ASSERT_TRUE(p.send(publish("f", std::to_string(i), 1, static_cast<unsigned>(i))));
    if (i % 200 == 0) {
      for (int k = 0; k < 200; ++k) ASSERT_FALSE(p.until(4).empty());
    }
  }
  int expected = 1;
  while (expected <= total) {
    const auto all = slow.until(3);
    ASSERT_FALSE(all.empty());
    ASSERT_EQ(all.back().type, 3u);
    ASSERT_EQ(all.back().payload(5), std::to_string(expected++));
    slow.send(ack(4, all.back().id()));
  }
}

}  // namespace
}  // namespace berth::test
