// Devices of the Park protocol and running gateways of every shape: who may come in, what reaches
// the platform, what a connection ends with; and the example that the document shows.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "protocol/park/control.h"
#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/park_client.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

constexpr const char* kKey = "0123456789abcdef";
constexpr const char* kKeyText = "MDEyMzQ1Njc4OWFiY2RlZg==";
constexpr const char* kAcme = R"(
tenants:
  - name: acme
    sites: [{name: north}]
    devices:
      - {name: gate, site: north, credentials: [{auth_id: gate, key: MDEyMzQ1Njc4OWFiY2RlZg==}]}
      - {name: door, site: north, credentials: [{certificate: door}]}
      - {name: lamp, site: north, credentials: [{auth_id: lamp, password: secret}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
)";

struct Directory {
  Directory() : path(std::filesystem::temp_directory_path() / "berth-park-XXXXXX") {
    if (mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path;
};

constexpr const char* kListen = "park: {listen: '127.0.0.1:0', heartbeat_s: 30}\n";
constexpr const char* kInStore =
    "auth: {failures_per_name: 0, failures_per_address: 0}\n"
    "registry: {source: store, refresh_ms: 200, password_iterations: 3}\n";

ConnectOptions platform() {
  ConnectOptions o{.client_id = "p"};
  o.user = "platform@acme";
  o.password = "p";
  return o;
}

park::Device::Options gate(const std::string& key = kKey) {
  return {.client_id = "g1", .auth_id = "gate@acme", .key = key};
}

std::string next_publish(RawClient& c) {
  const auto packets = c.until(3);
  if (packets.empty() || packets.back().type != 3) return "nothing";
  const Packet& p = packets.back();
  if (p.qos() == 1) c.send(ack(4, p.id()));
  return p.topic() + " " + envelope_of(p.payload(5)).event_id();
}

std::uint32_t refusal(int port, const park::Device::Options& o) {
  ParkClient c(port, o);
  c.ended();
  return c.ends.empty() ? 0 : c.ends.back().code;
}

struct Shape {
  Shape(const std::string& name, const Directory& d) {
    const std::string config = d.file("berth.yaml", std::string(kListen) + kInStore);
    if (name == "clustered") {
      cluster = std::make_unique<Cluster>(Cluster::Options{.engines = 2,
                                                           .edges = 1,
                                                           .engine_flags = {"--config", config},
                                                           .edge_flags = {"--config", config},
                                                           .partitions = 2});
      return;
    }
    std::vector<std::string> flags{"--config", config};
    if (name == "single") flags.emplace_back("--single-process");
    one = std::make_unique<GatewayProcess>(flags);
  }
  const GatewayProcess& edge() const { return one ? *one : *cluster->edges[0]; }
  int admin() const { return one ? one->admin_port() : cluster->engines[1]->admin_port(); }
  void kill_engine() const {
    if (one) return one->signal_engine(SIGKILL);
    cluster->engines[0]->process().send(SIGKILL);
  }
  std::unique_ptr<GatewayProcess> one;
  std::unique_ptr<Cluster> cluster;
};

class ParkShapes : public ::testing::TestWithParam<const char*> {};

TEST_P(ParkShapes, ADeviceWithAKeyComesInSpeaksAndIsCommanded) {
  const Directory d;
  const Shape s(GetParam(), d);
  const Rest rest(s.admin());
  ASSERT_TRUE(eventually([&] { return rest.get("/api/v1/tenants").status == 200; }));
  ASSERT_EQ(rest.import(kAcme).status, 200);
  const int port = s.edge().park_port();
  ASSERT_TRUE(eventually([&] { return ParkClient(port, gate()).welcome(); }));
  EXPECT_EQ(refusal(port, gate("another key 1234")), 0x86u);
  const auto service = subscribed(s.edge().mqtt_port(), platform(), "v1/north/+/event/#", 1);
  ParkClient c(port, gate());
  ASSERT_TRUE(c.welcome()) << (c.ends.empty() ? "" : c.ends[0].text);
  const auto speak = [&](const std::string& id) {
    c.report(plate_event(id));
    EXPECT_TRUE(c.acknowledged());
    EXPECT_EQ(next_publish(*service), "v1/north/gate/event/plate " + id);
    service->send(publish("v1/north/gate/cmd/" + id + "/req/open", "now", 1, 1));
    EXPECT_EQ(c.next_command(), "open " + id + " now");
  };
  speak("1");
  if (std::string(GetParam()) != "single") {
    s.kill_engine();
    speak("2");
  }
  const std::string disabled =
      R"({"site":"north","enabled":false,"credentials":[{"auth_id":"gate","key":")" +
      std::string(kKeyText) + "\"}]}";
  ASSERT_EQ(rest.put("/api/v1/tenants/acme/devices/gate", disabled).status, 200);
  EXPECT_TRUE(c.ended(std::chrono::seconds(5)));
  ASSERT_FALSE(c.ends.empty());
  EXPECT_EQ(c.ends[0].code, 0x98u);
  EXPECT_TRUE(eventually([&] { return refusal(port, gate()) == 0x8a; }));
}

INSTANTIATE_TEST_SUITE_P(Every, ParkShapes, ::testing::Values("single", "supervised", "clustered"),
                         [](const auto& i) { return i.param; });

TEST(ParkGateway, TlsAndCertificates) {
  const Directory d;
  Certificates certificates(d.path);
  certificates.issue("server", "localhost");
  certificates.issue("door", "door");
  const std::string config =
      d.file("berth.yaml", "mqtts: {cert_file: " + certificates.file("server.crt") +
                               ", key_file: " + certificates.file("server.key") +
                               ", ca_file: " + certificates.file("ca.crt") +
                               ", client_certificates: optional, user_name: common_name}\n"
                               "parks: {listen: '127.0.0.1:0'}\nregistry: {source: file, file: " +
                               d.file("registry.yaml", kAcme) + "}\n");
  const GatewayProcess g({"--config", config});
  ParkClient door(g.parks_port(), {.client_id = "d1"},
                  {true, certificates.file("door.crt"), certificates.file("door.key")});
  ASSERT_TRUE(door.welcome());
  const auto service = subscribed(g.mqtt_port(), platform(), "v1/+/+/event/#", 1);
  door.report(plate_event("e"));
  EXPECT_TRUE(door.acknowledged());
  EXPECT_EQ(next_publish(*service), "v1/north/door/event/plate e");
  ParkClient lamp(g.parks_port(), {.client_id = "l", .auth_id = "lamp@acme", .password = "secret"},
                  {.on = true, .cert_file = {}, .key_file = {}});
  ASSERT_TRUE(lamp.welcome());
  lamp.report(plate_event("bright"));
  EXPECT_TRUE(lamp.acknowledged());
  ParkClient key(g.parks_port(), gate(), {.on = true, .cert_file = {}, .key_file = {}});
  EXPECT_TRUE(key.welcome());
  EXPECT_EQ(g.metric("berth_transport_connections{transport=\"parks\"}"), 3);
}

TEST(ParkGateway, BehindAProxy) {
  const Directory d;
  const GatewayProcess g(
      {"--anonymous", "--config",
       d.file("berth.yaml", "park: {listen: '127.0.0.1:0', proxy_protocol: true}\n")});
  {
    ParkClient c(g.park_port(), {.client_id = "x"}, {}, "PROXY TCP4 192.0.2.1 127.0.0.1 5 6\r\n");
    EXPECT_TRUE(c.welcome());
  }
  EXPECT_TRUE(eventually([&] { return g.log().find("192.0.2.1") != std::string::npos; }));
}

class Listening : public ::testing::Test {
 protected:
  const Directory directory_;
  GatewayProcess g_{{"--anonymous", "--log-level", "debug", "--config",
                     directory_.file("berth.yaml",
                                     "mqtt: {connect_timeout_s: 1}\n"
                                     "park: {listen: '127.0.0.1:0', heartbeat_s: 1}\n")}};
};

TEST_F(Listening, HeartbeatsAreAnsweredAndMissed) {
  ParkClient c(g_.park_port(), {.client_id = "x"});
  ASSERT_TRUE(c.welcome());
  EXPECT_EQ(c.device().heartbeat_s(), 1u);
  c.device().ping();
  EXPECT_TRUE(c.until([&] { return c.pongs == 1; }));
  EXPECT_TRUE(c.ended());
  ASSERT_EQ(c.ends.size(), 1u);
  EXPECT_EQ(c.ends[0].code, 0x8du);
}

TEST_F(Listening, WhoSaysNothingOrSomethingElseIsNotWaitedFor) {
  RawClient silent(g_.park_port());
  RawClient mqtt(g_.park_port());
  mqtt.send(connect({.client_id = "m"}));
  EXPECT_TRUE(mqtt.closed_within(std::chrono::seconds(5)));
  RawClient park_at_mqtt(g_.mqtt_port());
  std::string hello;
  park::put_frame(hello, park::FrameType::hello, park::kCrc, 0, {});
  park_at_mqtt.send(hello);
  EXPECT_TRUE(park_at_mqtt.closed_within(std::chrono::seconds(5)));
  ParkClient no_crc(g_.park_port(), {.client_id = "x"});
  ASSERT_TRUE(no_crc.welcome());
  std::string ping;
  park::put_frame(ping, park::FrameType::ping, 0, 0, {});
  no_crc.send(ping);
  EXPECT_TRUE(no_crc.ended()) << "TCP needs a CRC";
  EXPECT_TRUE(silent.closed_within(std::chrono::seconds(10)));
  ParkClient forger(g_.park_port(), {.client_id = "x"});
  forger.send(park::encode_greeting({std::string(16, 'n'), 1, true}, park::kCrc));
  EXPECT_TRUE(forger.ended()) << "the nonce is the gateway's";
  EXPECT_FALSE(forger.device().ready());
}

// What the edge finds by itself: the device hears the same code and the same words as the log.
TEST_F(Listening, WhatTheEdgeRefusesIsSaidAndLoggedAlike) {
  std::string no_crc;
  park::put_frame(no_crc, park::FrameType::ping, 0, 0, {});
  std::string large;
  park::put_header(large, park::FrameType::event, park::kCrc, 1, park::kPayloadMax + 1);
  struct Case {
    std::string bytes, text, code;
  };
  for (const Case& c : {Case{no_crc, "PING without CRC", "0x81"},
                        Case{"GET / HTTP/1.1\r\n\r\n", "it begins with 0x47 0x45", "0x81"},
                        Case{large, "EVENT with a length of 16777217", "0x95"}}) {
    ParkClient d(g_.park_port(), {.client_id = "x"});
    ASSERT_TRUE(d.welcome());
    d.send(c.bytes);
    ASSERT_TRUE(d.ended());
    ASSERT_EQ(d.ends.size(), 1u) << c.text;
    EXPECT_EQ(d.ends[0].code, std::stoul(c.code, nullptr, 16));
    EXPECT_NE(d.ends[0].text.find(c.text), std::string::npos) << d.ends[0].text;
    const auto logged = [&](const std::string& event, const std::string& more) {
      return eventually([&] {
        std::istringstream in(g_.log());
        for (std::string line; std::getline(in, line);) {
          if (line.find(event) != std::string::npos && line.find(more) != std::string::npos &&
              line.find("code=" + c.code) != std::string::npos)
            return true;
        }
        return false;
      });
    };
    EXPECT_TRUE(logged("connection closed", c.text)) << g_.log();
    EXPECT_TRUE(logged("client disconnected", "client=x")) << g_.log();
  }
}

// Bytes before a log-in are those of the device: the GREETING is the gateway's.
TEST_F(Listening, SilenceIsCountedAndNamedOnce) {
  { RawClient silent(g_.park_port()); }
  std::string found;
  EXPECT_TRUE(eventually([&] {
    std::istringstream in(g_.log());
    for (std::string line; std::getline(in, line);) {
      if (line.find("connection closed") != std::string::npos) found = line;
    }
    return !found.empty();
  })) << g_.log();
  EXPECT_NE(found.find("cause=silent"), std::string::npos) << found;
  EXPECT_EQ(found.find("cause=", found.find("cause=silent") + 1), std::string::npos) << found;
  EXPECT_NE(found.find("rx=0"), std::string::npos) << found;
  EXPECT_EQ(found.find("tx=0"), std::string::npos) << found;
}

TEST_F(Listening, AnEndThatIsPlannedIsSaid) {
  ParkClient c(g_.park_port(), {.client_id = "x"});
  ASSERT_TRUE(c.welcome());
  g_.process().send(SIGTERM);
  EXPECT_TRUE(c.ended());
  ASSERT_EQ(c.ends.size(), 1u);
  EXPECT_TRUE(c.ends[0].planned);
}

// What comes to `topic` next; what comes to others before it is acknowledged and left aside.
v1::Envelope next_at(RawClient& c, const std::string& topic) {
  for (;;) {
    const auto packets = c.until(3);
    if (packets.empty() || packets.back().type != 3) return {};
    const Packet& p = packets.back();
    if (p.qos() == 1) c.send(ack(4, p.id()));
    if (p.topic() == topic) return envelope_of(p.payload(5));
  }
}

// docs/park-protocol.md shows it, and firmware is made of it.
TEST(ParkGateway, TheExampleOfTheDocumentExecutesACommandOnce) {
  const Directory d;
  const GatewayProcess g(
      {"--config", d.file("berth.yaml", std::string(kListen) + "registry: {source: file, file: " +
                                            d.file("registry.yaml", kAcme) + "}\n")});
  const auto service = subscribed(g.mqtt_port(), platform(), "v1/north/gate/#", 1);
  Process device({"/usr/bin/python3", BERTH_SOURCE "/docs/examples/park_device.py",
                  "127.0.0.1:" + std::to_string(g.park_port()), "g1", "gate@acme", kKeyText},
                 d.path + "/device.log");
  EXPECT_TRUE(next_at(*service, "v1/north/gate/state").has_barrier()) << device.log();
  EXPECT_TRUE(next_at(*service, "v1/north/gate/event/plate").event_id().starts_with("g1-"));
  service->send(publish("v1/north/gate/cmd/c7/req/open", "x", 1, 1));
  service->send(publish("v1/north/gate/cmd/c7/req/open", "x", 1, 2));
  const std::string answers = "v1/north/gate/cmd/c7/res";
  const v1::Envelope first = next_at(*service, answers);
  const v1::Envelope second = next_at(*service, answers);
  EXPECT_EQ(first.result().outcome(), v1::EXECUTED) << device.log();
  EXPECT_EQ(second.result().outcome(), v1::DUPLICATE) << device.log();
  EXPECT_EQ(second.result().code(), first.result().code());
  EXPECT_NE(second.event_id(), first.event_id()) << "another event";
  const std::string log = device.log();
  EXPECT_EQ(log.find("execute open c7"), log.rfind("execute open c7")) << log;
  EXPECT_NE(log.find("execute open c7"), std::string::npos) << log;
}

TEST(ParkGateway, TheExampleOfTheDocumentSaysHowItIsUsed) {
  const Directory d;
  Process help({"/usr/bin/python3", BERTH_SOURCE "/docs/examples/park_device.py", "--help"},
               d.path + "/help.log");
  EXPECT_EQ(help.wait(), 0);
  EXPECT_NE(help.log().find("HOST:PORT"), std::string::npos) << help.log();
}

}  // namespace
}  // namespace berth::test
