// A vendor's camera over MQTT and a controller over the Park protocol: the platform gets the same.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/gateway_process.h"
#include "tests/support/park_client.h"
#include "tests/support/plate_camera.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

constexpr const char* kDevices = R"(
tenants:
  - name: acme
    envelopes: protobuf
    sites: [{name: north}]
    devices:
      - {name: cam, site: north, product: plate-camera, credentials: [{auth_id: cam, password: p}]}
      - {name: gate, site: north, credentials: [{auth_id: gate, key: MDEyMzQ1Njc4OWFiY2RlZg==}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
)";

ConnectOptions as(const std::string& user) {
  ConnectOptions o{.client_id = user};
  o.user = user + "@acme";
  o.password = "p";
  return o;
}

class MessagesGateway : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "berth-messages-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    const std::string config = directory_ + "/berth.yaml";
    std::ofstream(config) << "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                             "registry: {source: store, refresh_ms: 100, password_iterations: 3}\n"
                             "park: {listen: '127.0.0.1:0'}\n";
    g_ = std::make_unique<GatewayProcess>(std::vector<std::string>{"--config", config});
    rest_ = std::make_unique<Rest>(g_->admin_port());
    ASSERT_TRUE(eventually([&] { return rest_->get("/api/v1/tenants").status == 200; }));
    const RestAnswer profile = rest_->import(camera_profile("acme"));
    ASSERT_EQ(profile.status, 200) << profile.body;
    ASSERT_EQ(rest_->import(kDevices).status, 200);
    ASSERT_TRUE(eventually([&] {
      RawClient c(g_->mqtt_port());
      c.send(connect(as("cam")));
      const auto k = c.until(2);
      return !k.empty() && k.back().body[1] == 0;
    }));
  }
  void TearDown() override {
    g_.reset();
    std::filesystem::remove_all(directory_);
  }
  static std::string next_payload(RawClient& c, std::string* topic = nullptr) {
    const auto packets = c.until(3);
    if (packets.empty() || packets.back().type != 3) return "nothing";
    const Packet& p = packets.back();
    if (p.qos() == 1) c.send(ack(4, p.id()));
    if (topic != nullptr) *topic = p.topic();
    return p.payload(5);
  }
  std::string directory_;
  std::unique_ptr<GatewayProcess> g_;
  std::unique_ptr<Rest> rest_;
};

TEST_F(MessagesGateway, ACameraAndAControllerSayTheSame) {
  auto platform = subscribed(g_->mqtt_port(), as("platform"), "v1/+/+/event/#", 1);
  auto cam = connected(g_->mqtt_port(), as("cam"));
  ParkClient gate(g_->park_port(),
                  {.client_id = "g", .auth_id = "gate@acme", .key = "0123456789abcdef"});
  ASSERT_TRUE(gate.welcome());
  for (const bool killed : {false, true}) {
    if (killed) g_->signal_engine(SIGKILL);  // what a product means is known to the next one too
    cam->send(publish("device/cam/message/up/ivs_result", camera_result(), 1, 1));
    std::string topic;
    const v1::Envelope a = envelope_of(next_payload(*platform, &topic));
    EXPECT_EQ(topic, "v1/north/cam/event/plate");
    gate.report(plate_event("e", "粤B12345"));
    EXPECT_TRUE(gate.acknowledged());
    const v1::Envelope b = envelope_of(next_payload(*platform, &topic));
    EXPECT_EQ(topic, "v1/north/gate/event/plate");
    EXPECT_EQ(a.plate().plate().number(), b.plate().plate().number());
    EXPECT_EQ(a.tenant() + a.site(), b.tenant() + b.site());
    EXPECT_EQ(a.event_id() + " " + b.event_id(), "4711 e");
  }
}

TEST_F(MessagesGateway, APlatformThatWantsJsonGetsItFromNowOn) {
  auto platform = subscribed(g_->mqtt_port(), as("platform"), "v1/+/+/event/#", 1);
  auto cam = connected(g_->mqtt_port(), as("cam"));
  ASSERT_EQ(rest_->put("/api/v1/tenants/acme", R"({"envelopes":"json"})").status, 200);
  EXPECT_TRUE(eventually([&] {
    cam->send(publish("device/cam/message/up/ivs_result", camera_result(), 1, 1));
    return next_payload(*platform).starts_with(R"({"eventId":"4711")");
  }));
  ParkClient gate(g_->park_port(),
                  {.client_id = "g", .auth_id = "gate@acme", .key = "0123456789abcdef"});
  ASSERT_TRUE(gate.welcome());
  gate.report(plate_event("e", "粤B12345"));
  EXPECT_TRUE(gate.acknowledged());
  EXPECT_TRUE(next_payload(*platform).starts_with(R"({"eventId":"e","tenant":"acme")"));
  EXPECT_EQ(rest_->put("/api/v1/tenants/acme", R"({"envelopes":"xml"})").status, 422);
}

}  // namespace
}  // namespace berth::test
