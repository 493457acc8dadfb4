// The ways devices come in besides plain MQTT and TLS (tls_test): WebSocket, behind a proxy, and
// what limits them. In both shapes.
#include <gtest/gtest.h>
#include <mqtt/async_client.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/tls_client.h"
#include "tests/support/ws_client.h"

namespace berth::test {
namespace {

class Transports : public ::testing::TestWithParam<const char*> {
 protected:
  Transports() : directory_(make_directory()), certificates_(directory_) {
    certificates_.issue("server", "localhost");
  }
  ~Transports() override { std::filesystem::remove_all(directory_); }
  static std::string make_directory() {
    std::string name = std::filesystem::temp_directory_path() / "berth-transports-XXXXXX";
    return mkdtemp(name.data());
  }
  // All four listeners; `mqtt` and `ws`: more lines of these sections.
  std::unique_ptr<GatewayProcess> gateway(const std::string& mqtt = "", const std::string& ws = "",
                                          const std::string& mqtts = "") {
    const std::string path = directory_ + "/gateway.yaml";
    std::ofstream(path) << "mqtt:\n  connect_timeout_s: 2\n"
                        << mqtt << "mqtts:\n  listen: 127.0.0.1:0\n"
                        << "  cert_file: " << certificates_.file("server.crt")
                        << "\n  key_file: " << certificates_.file("server.key") << "\n"
                        << mqtts << "ws:\n  listen: 127.0.0.1:0\n"
                        << ws << "wss:\n  listen: 127.0.0.1:0\n";
    std::vector<std::string> flags{"--config", path};
    if (*GetParam() != 0) flags.emplace_back(GetParam());
    return std::make_unique<GatewayProcess>(flags);
  }
  std::string directory_;
  Certificates certificates_;
};
INSTANTIATE_TEST_SUITE_P(Shapes, Transports, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

TEST_P(Transports, PahoOverWebSocketWithAndWithoutTls) {
  auto g = gateway();
  const std::string ports[] = {"ws://127.0.0.1:" + std::to_string(g->ws_port()) + "/mqtt",
                               "wss://127.0.0.1:" + std::to_string(g->wss_port()) + "/mqtt"};
  for (const std::string& uri : ports) {
    mqtt::async_client client(uri, "paho", mqtt::create_options(MQTTVERSION_5));
    std::mutex mutex;
    std::vector<std::size_t> got;
    client.set_message_callback([&](const mqtt::const_message_ptr& m) {
      const std::lock_guard lock(mutex);
      got.push_back(m->get_payload().size());
    });
    mqtt::connect_options_builder options;
    options.mqtt_version(MQTTVERSION_5);
    if (uri.starts_with("wss")) {
      mqtt::ssl_options tls;
      tls.set_trust_store(certificates_.file("ca.crt"));
      options.ssl(tls);
    }
    ASSERT_TRUE(client.connect(options.finalize())->wait_for(std::chrono::seconds(10))) << uri;
    ASSERT_TRUE(client.subscribe("t", 2)->wait_for(std::chrono::seconds(10)));
    const std::vector<std::size_t> sizes{0, 1, 125, 126, 65'535, 65'536, 300'000};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto sent =
          client.publish("t", std::string(sizes[i], 'p'), static_cast<int>(i % 3), false);
      ASSERT_TRUE(sent->wait_for(std::chrono::seconds(10))) << sizes[i];
    }
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex);
      return got.size() == sizes.size();
    })) << uri;
    EXPECT_EQ(got, sizes);
    client.disconnect()->wait_for(std::chrono::seconds(10));
  }
}

TEST_P(Transports, AWebSocketCarriesMqttInAnyDivision) {
  auto g = gateway();
  WsClient c(g->ws_port(), "");
  for (const char byte : WsClient::request()) ASSERT_TRUE(c.raw({&byte, 1}));
  const std::string hello = connect({.client_id = "ws"}) + subscribe(1, "t", 1);
  for (const char byte : hello) ASSERT_TRUE(c.send(std::string(1, byte)));  // a frame a byte
  ASSERT_FALSE(c.until(9).empty());
  EXPECT_EQ(c.response.substr(0, 12), "HTTP/1.1 101");
  c.raw(ws_frame(0x89, "ping"));
  EXPECT_TRUE(c.wait([&] { return !c.controls.empty(); }));
  EXPECT_EQ(c.controls.front(), "\x8aping");
  std::string two = publish("t", "one", 1, 5) + publish("t", "two", 1, 6);
  c.raw(ws_frame(0x02, two.substr(0, 9)) + ws_frame(0x89, "") + ws_frame(0x80, two.substr(9)));
  std::vector<std::string> payloads;
  while (payloads.size() < 2) {
    const auto got = c.until(3);
    ASSERT_FALSE(got.empty());
    payloads.push_back(got.back().payload(5));
  }
  EXPECT_EQ(payloads, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(g->metric("berth_transport_connections{transport=\"ws\"}"), 1);
  c.raw(ws_frame(0x88, std::string("\x03\xe8", 2)));
  EXPECT_TRUE(c.wait([&] { return c.gone(); }));
  EXPECT_EQ(c.controls.back(), std::string("\x88\x03\xe8", 3));
  EXPECT_TRUE(eventually(
      [&] { return g->metric("berth_connection_closed_total{reason=\"peer_closed\"}") == 1; }));
}

TEST_P(Transports, WhatIsNoWebSocketIsRefusedAndNothingElseHappens) {
  auto g = gateway();
  WsClient good(g->ws_port());
  ASSERT_TRUE(good.connect_mqtt({.client_id = "good"}));
  WsClient elsewhere(g->ws_port(), "/other");
  EXPECT_TRUE(elsewhere.wait([&] { return elsewhere.gone(); }));
  EXPECT_EQ(elsewhere.response.substr(0, 12), "HTTP/1.1 404");
  WsClient browser(g->ws_port(), "");
  browser.raw("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(browser.wait([&] { return browser.gone(); }));
  EXPECT_EQ(browser.response.substr(0, 12), "HTTP/1.1 426");
  WsClient silent(g->ws_port(), "");
  silent.raw("GET /mqtt HTTP/1.1\r\nHost:");
  EXPECT_TRUE(silent.wait([&] { return silent.gone(); })) << "mqtt.connect_timeout_s";
  WsClient text(g->ws_port());
  text.raw(ws_frame(0x81, connect({.client_id = "text"})));
  EXPECT_TRUE(text.wait([&] { return text.gone(); }));
  EXPECT_EQ(text.controls.back(), std::string("\x88\x03\xeb", 3)) << "1003";
  WsClient endless(g->ws_port(), "");
  std::string request = "GET /mqtt HTTP/1.1\r\n";
  while (request.size() < 10'000) request += "X-Header: and so on\r\n";
  endless.raw(request);
  EXPECT_TRUE(endless.wait([&] { return endless.gone(); }));
  EXPECT_EQ(endless.response.substr(0, 12), "HTTP/1.1 431");
  RawClient plain(g->ws_port());
  plain.send(connect({.client_id = "plain"}));
  EXPECT_TRUE(plain.closed_within(std::chrono::seconds(5)));
  good.send(pingreq());
  EXPECT_FALSE(good.until(13).empty());
}

// Who asks and does not read is not answered for ever.
TEST_P(Transports, AFloodOfPingsIsBounded) {
  auto g = gateway();
  WsClient flood(g->ws_port(), "/mqtt", 4096);
  ASSERT_TRUE(flood.connect_mqtt({.client_id = "flood"}));
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += ws_frame(0x89, std::string(125, 'p'));
  bool open = true;
  for (int i = 0; open && i < 500; ++i) open = flood.raw(pings);  // 65 MB
  EXPECT_FALSE(open);
  EXPECT_TRUE(eventually(
      [&] { return g->metric("berth_connection_closed_total{reason=\"slow_consumer\"}") == 1; }));
  WsClient good(g->ws_port());
  EXPECT_TRUE(good.connect_mqtt({.client_id = "good"}));
}

// What the socket does not take waits, and no frame is torn.
TEST_P(Transports, ASlowWebSocketGetsEverything) {
  auto g = gateway();
  WsClient slow(g->ws_port(), "/mqtt", 4096);
  ASSERT_TRUE(slow.connect_mqtt({.client_id = "slow"}));
  slow.send(subscribe(1, "t", 1));
  ASSERT_FALSE(slow.until(9).empty());
  auto p = connected(g->mqtt_port(), {.client_id = "p"});
  for (unsigned i = 1; i <= 60; ++i) {
    p->send(publish("t", std::string(100'000, static_cast<char>('a' + i % 26)), 1, i));
    ASSERT_FALSE(p->until(4).empty());
  }
  for (unsigned i = 1; i <= 60; ++i) {
    const auto got = slow.until(3);
    ASSERT_FALSE(got.empty()) << i;
    EXPECT_EQ(got.back().payload(5), std::string(100'000, static_cast<char>('a' + i % 26)));
    slow.send(ack(4, got.back().id()));
  }
}

TEST_P(Transports, AnEnginesDeathIsNotNoticedOnAWebSocket) {
  if (*GetParam() != 0) GTEST_SKIP() << "there is no other engine";
  auto g = gateway();
  WsClient c(g->ws_port());
  ASSERT_TRUE(c.connect_mqtt({.client_id = "ws"}));
  c.send(subscribe(1, "t", 1));
  ASSERT_FALSE(c.until(9).empty());
  for (unsigned i = 1; i <= 3; ++i) {
    const std::string message = publish("t", std::to_string(i), 1, i);
    const std::string frame = ws_frame(0x82, message);
    c.raw(frame.substr(0, 5));  // in the middle of a frame's header
    g->signal_engine(SIGKILL);
    c.raw(frame.substr(5));
    const auto got = c.until(3);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back().payload(5), std::to_string(i));
    c.send(ack(4, got.back().id()));
  }
  EXPECT_FALSE(c.gone());
  EXPECT_EQ(g->metric("berth_engine_deaths_total"), 3);
}

// -- behind a proxy

std::string proxy_v2(const std::string& addresses) {
  return std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16) + addresses;
}
const std::string kFromAfar("\xc0\x00\x02\x07\x0a\x00\x00\x01\x30\x39\x07\x5b", 12);
const std::string kFromHere("\x7f\x00\x00\x01\x7f\x00\x00\x01\x30\x39\x07\x5b", 12);

// Anonymous is who comes from this machine: by what the proxy says, not by where it is.
TEST_P(Transports, AProxySaysWhoIsThere) {
  auto g = gateway("  proxy_protocol: true\n  proxies: 127.0.0.0/8\n", "  proxy_protocol: true\n");
  const auto answer = [&](const std::string& header) {
    RawClient c(g->mqtt_port());
    for (const char byte : header) c.send({&byte, 1});
    c.send(connect({.client_id = "c"}));
    const auto got = c.until(2);
    return got.empty() ? -1 : static_cast<int>(static_cast<unsigned char>(got[0].body[1]));
  };
  EXPECT_EQ(answer("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"), 0);
  EXPECT_EQ(answer("PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n"), 0x87) << "not authorized";
  EXPECT_EQ(answer(proxy_v2(kFromHere)), 0);
  EXPECT_EQ(answer(proxy_v2(kFromAfar)), 0x87);
  EXPECT_EQ(answer(""), -1) << "MQTT without a header";
  EXPECT_EQ(answer("PROXY TCP4 nowhere 127.0.0.1 1 2\r\n"), -1);
  EXPECT_EQ(g->metric("berth_connections_refused_total{reason=\"proxy\"}"), 2);
  EXPECT_TRUE(
      eventually([&] { return g->log().find("peer=192.0.2.7:12345") != std::string::npos; }));
  WsClient ws(g->ws_port(), "");
  ws.raw(proxy_v2(kFromHere) + WsClient::request() + ws_frame(0x82, connect({.client_id = "w"})));
  EXPECT_FALSE(ws.until(2).empty()) << "all in one segment";
}

TEST_P(Transports, AProxyNobodyHasNamedMakesNobodyAnonymous) {
  auto g = gateway("  proxy_protocol: true\n");
  RawClient c(g->mqtt_port());
  c.send("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + connect({.client_id = "c"}));
  const auto got = c.until(2);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(static_cast<unsigned char>(got[0].body[1]), 0x87);
}

TEST_P(Transports, AProxyHeaderComesBeforeTls) {
  auto g = gateway("  proxies: 127.0.0.0/8\n", "", "  proxy_protocol: true\n");
  TlsClient::Options o{.ca_file = certificates_.file("ca.crt"), .preamble = proxy_v2(kFromHere)};
  TlsClient c(g->mqtts_port(), o);
  EXPECT_TRUE(c.connect_mqtt({.client_id = "tls"}));
  o.preamble = {};
  TlsClient without(g->mqtts_port(), o);
  EXPECT_FALSE(without.good());
}

TEST_P(Transports, OnlyKnownProxiesAreBelieved) {
  auto g = gateway("  proxy_protocol: true\n  proxies: 10.0.0.0/8, 2001:db8::/32\n");
  RawClient c(g->mqtt_port());
  c.send("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + connect({.client_id = "c"}));
  EXPECT_TRUE(c.closed_within(std::chrono::seconds(5)));
  EXPECT_EQ(g->metric("berth_connections_refused_total{reason=\"proxy\"}"), 1);
}

// haproxy 2.6 as a load balancer in front, with its health checks, in both versions.
TEST_P(Transports, HaproxyInFront) {
  for (const char* send : {"send-proxy", "send-proxy-v2"}) {
    auto g = gateway("  proxy_protocol: true\n  proxies: 127.0.0.0/8\n");
    const int port = [] {  // haproxy can't say which one it got
      sockaddr_in a{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      socklen_t size = sizeof a;
      EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&a), size), 0);
      getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size);
      ::close(fd);
      return ntohs(a.sin_port);
    }();
    std::ofstream(directory_ + "/haproxy.cfg")
        << "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server "
           "60s\n"
        << "listen mqtt\n  bind 127.0.0.1:" << port
        << "\n  server berth 127.0.0.1:" << g->mqtt_port() << " " << send << " check inter 100ms\n";
    Process haproxy({"/usr/sbin/haproxy", "-db", "-f", directory_ + "/haproxy.cfg"},
                    directory_ + "/haproxy.log");
    std::unique_ptr<RawClient> c;
    ASSERT_TRUE(eventually([&] {
      c = std::make_unique<RawClient>(port);
      c->send(connect({.client_id = "behind"}));
      const auto got = c->until(2, std::chrono::seconds(1));
      return !got.empty() && got[0].body[1] == 0;
    })) << haproxy.log();
    c->send(subscribe(1, "t", 1) + publish("t", "through", 1, 2));
    const auto got = c->until(3);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back().payload(5), "through");
    EXPECT_TRUE(eventually([&] { return g->metric("berth_connections_accepted_total") > 4; }))
        << "health checks go on";
    EXPECT_EQ(g->metric("berth_connections_refused_total{reason=\"proxy\"}"), 0);
  }
}

// -- limits

TEST_P(Transports, ConnectionsOfAnAddressAndOfAListenerAreLimited) {
  auto g = gateway("  max_connections_per_address: 4\n", "  max_connections: 2\n");
  std::vector<std::unique_ptr<WsClient>> ws;
  for (int i = 0; i < 3; ++i) {
    ws.push_back(std::make_unique<WsClient>(g->ws_port()));
    EXPECT_EQ(ws.back()->connect_mqtt({.client_id = "w" + std::to_string(i)}), i < 2) << i;
  }
  EXPECT_EQ(g->metric("berth_connections_refused_total{reason=\"listener_limit\"}"), 1);
  auto a = connected(g->mqtt_port(), {.client_id = "a"});
  auto b = connected(g->mqtt_port(), {.client_id = "b"});
  RawClient many(g->mqtt_port());
  EXPECT_TRUE(many.closed_within(std::chrono::seconds(5)));
  EXPECT_EQ(g->metric("berth_connections_refused_total{reason=\"address_limit\"}"), 1);
  a->close();
  EXPECT_TRUE(eventually([&] {
    RawClient again(g->mqtt_port());
    again.send(connect({.client_id = "a"}));
    return !again.until(2, std::chrono::seconds(1)).empty();
  })) << "one has gone";
}

TEST_P(Transports, AnAddressMayConnectAtARate) {
  auto g = gateway("  connects_per_s_per_address: 1\n  proxy_protocol: true\n");
  const auto connects = [&](const std::string& from) {
    RawClient c(g->mqtt_port());
    c.send("PROXY TCP4 " + from + " 127.0.0.1 1 2\r\n" + connect({.client_id = "c"}));
    return !c.until(2, std::chrono::seconds(10)).empty();
  };
  int in = 0;
  for (int i = 0; i < 30; ++i) in += connects("127.0.0.9") ? 1 : 0;
  EXPECT_GE(in, 10) << "a bucket of ten seconds";
  EXPECT_LT(in, 25);
  EXPECT_TRUE(connects("127.0.0.10")) << "another address";
}

// Wrong passwords from one place do not lock out who has the right one elsewhere, or had it before.
TEST_P(Transports, AGuesserIsSlowed) {
  const std::string file = directory_ + "/passwords";
  for (const char* user : {"-c", ""}) {
    const std::string name = *user != 0 ? "camera" : "other";
    ASSERT_EQ(std::system(("mosquitto_passwd -b " + std::string(user) + " " + file + " " + name +
                           " right 2>/dev/null")
                              .c_str()),
              0);
  }
  auto g = gateway("  proxy_protocol: true\nauth:\n  password_file: " + file + "\n");
  const auto log_in = [&](const std::string& from, const std::string& user, const char* password) {
    RawClient c(g->mqtt_port());
    c.send("PROXY TCP4 " + from + " 10.0.0.1 1 2\r\n" +
           connect({.client_id = user, .user = user, .password = password}));
    const auto got = c.until(2);
    return got.empty() ? -1 : static_cast<int>(static_cast<unsigned char>(got[0].body[1]));
  };
  EXPECT_EQ(log_in("192.0.2.1", "camera", "right"), 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(log_in("192.0.2.9", "camera", "guess"), 0x86) << i;
  EXPECT_EQ(log_in("192.0.2.9", "camera", "guess"), 0x9f);
  EXPECT_EQ(log_in("192.0.2.9", "camera", "right"), 0x9f) << "nobody is asked any more";
  EXPECT_EQ(log_in("192.0.2.1", "camera", "right"), 0) << "it has logged in from there";
  EXPECT_EQ(log_in("192.0.2.9", "other", "right"), 0) << "of the address 15 are left";
  EXPECT_EQ(g->metric("berth_connection_attempts_total{outcome=\"throttled\"}"), 2);
}

// -- an edge is replaced

TEST(TransportsEdge, AWebSocketGoesOnInTheMiddleOfAFrame) {
  std::string directory = std::filesystem::temp_directory_path() / "berth-transports-XXXXXX";
  mkdtemp(directory.data());
  std::ofstream(directory + "/edge.yaml")
      << "ws:\n  listen: 127.0.0.1:0\n  proxy_protocol: true\ncluster:\n  handover: " << directory
      << "/handover.sock\n";
  Cluster c({.engines = 1,
             .edges = 1,
             .engine_flags = {},
             .edge_flags = {"--config", directory + "/edge.yaml"}});
  const int port = c.edges[0]->ws_port();
  const std::string header = proxy_v2(kFromHere);
  WsClient device(port, "");
  device.raw(header + WsClient::request());
  ASSERT_TRUE(device.connect_mqtt({.client_id = "ws"}));
  device.send(subscribe(1, "t", 1));
  ASSERT_FALSE(device.until(9).empty());
  WsClient young(port, "");  // in the middle of its PROXY header
  young.raw(header.substr(0, 9));
  WsClient asking(port, "");  // in the middle of its request
  asking.raw(header + WsClient::request().substr(0, 50));
  const std::string frame = ws_frame(0x82, publish("t", std::string(1000, 'x'), 1, 2));
  device.raw(frame.substr(0, 300));
  c.replace_edge(0);
  EXPECT_EQ(c.edges[0]->ws_port(), port);
  device.raw(frame.substr(300));
  const auto got = device.until(3);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().payload(5), std::string(1000, 'x'));
  young.raw(header.substr(9) + WsClient::request());
  EXPECT_TRUE(young.connect_mqtt({.client_id = "young"}));
  asking.raw(WsClient::request().substr(50));
  EXPECT_TRUE(asking.connect_mqtt({.client_id = "asking"}));
  EXPECT_EQ(c.edges[0]->metric("berth_transport_connections{transport=\"ws\"}"), 3);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace berth::test
