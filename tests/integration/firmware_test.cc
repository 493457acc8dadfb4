// The firmware of a device, from what the device says to presence and to the variant of a command.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/park_client.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

// Cameras are told in their vendor's words, of which two firmwares have different ones; controllers
// have a command only with some firmwares.
constexpr const char* kGates = R"(
tenants:
  - name: acme
    envelopes: json
    sites: [{name: north}]
    products:
      - name: camera
        topics: ["device/%d/#"]
        commands:
          - {name: white_list, firmware: ["2.*"], topic: device/%d/new, payload: '{"id":"%i"}'}
          - {name: white_list, firmware: ["1.*"], topic: device/%d/old, payload: '{"id":"%i"}'}
      - name: controller
        commands:
          - {name: white_list, firmware: ["2.*", "3.*"]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
    devices:
)";

std::string device(const std::string& name, const std::string& product, const std::string& more) {
  return "      - {name: " + name + ", site: north, product: " + product +
         ", credentials: [{auth_id: " + name +
         (product == "camera" ? ", password: p}]" : ", key: MDEyMzQ1Njc4OWFiY2RlZg==}]") + more +
         "}\n";
}

struct Files {
  Files() : path(std::filesystem::temp_directory_path() / "berth-firmware-XXXXXX") {
    if (mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Files() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  // With these devices.
  std::string config(const std::string& devices, const std::string& more = {}) const {
    return file("berth.yaml", "auth: {failures_per_name: 0, failures_per_address: 0}\n" + more +
                                  "registry: {source: file, file: " +
                                  file("registry.yaml", std::string(kGates) + devices) + "}\n");
  }
  std::string path;
};

ConnectOptions as_device(const std::string& user, const std::string& client_id = {}) {
  ConnectOptions o{.client_id = client_id.empty() ? user : client_id};
  o.user = user + "@acme";
  o.password = "p";
  return o;
}

void says_firmware(RawClient& c, const std::string& version) {
  c.send(publish("v1/telemetry/health",
                 R"({"eventId":"h","health":{"firmware":")" + version + R"("}})", 1, 1));
  EXPECT_FALSE(c.until(4).empty());
}

park::Device::Options controller(const std::string& firmware) {
  park::Device::Options o{.client_id = "gate", .auth_id = "gate@acme", .key = "0123456789abcdef"};
  o.firmware = firmware;
  return o;
}

// The topic of the next command; "nothing".
std::string next_topic(RawClient& c) {
  const auto packets = c.until(3);
  if (packets.empty() || packets.back().type != 3) return "nothing";
  if (packets.back().qos() == 1) c.send(ack(4, packets.back().id()));
  return packets.back().topic();
}

RestAnswer submit(int admin, const std::string& name, const std::string& id) {
  return Rest(admin).ask(
      "POST", "/api/v1/commands",
      R"({"tenant":"acme","device":")" + name + R"(","id":")" + id + R"(","type":"white_list"})",
      "Content-Type: application/json\r\n");
}

// What presence says of it; waits for `version`.
std::string shown(int admin, const std::string& name, const std::string& version) {
  const std::string wanted = R"("firmware":")" + version + "\"";
  std::string all;
  eventually([&] {
    all = Rest(admin).get("/api/v1/tenants/acme/devices/" + name + "/presence").body;
    return all.find(wanted) != std::string::npos;
  });
  return all.find(wanted) == std::string::npos ? all : version;
}

struct Firmware : ::testing::Test {
  Files files;
  GatewayProcess g{{"--config", files.config(device("cam", "camera", ", firmware: 1.0") +
                                                 device("gate", "controller", ", firmware: 1.0"),
                                             "park: {listen: '127.0.0.1:0'}\n")}};
};

TEST_F(Firmware, OfACameraOverMqttIsInItsReportOfHealth) {
  auto cam = subscribed(g.mqtt_port(), as_device("cam"), "device/cam/#", 1);
  auto service = connected(g.mqtt_port(), as_device("platform"));
  EXPECT_EQ(shown(g.admin_port(), "cam", "1.0"), "1.0") << "as registered";
  EXPECT_EQ(submit(g.admin_port(), "cam", "1").status, 202);
  EXPECT_EQ(next_topic(*cam), "device/cam/old");
  says_firmware(*cam, "2.7");
  EXPECT_EQ(shown(g.admin_port(), "cam", "2.7"), "2.7");
  EXPECT_EQ(submit(g.admin_port(), "cam", "2").status, 202);
  EXPECT_EQ(next_topic(*cam), "device/cam/new");
  service->send(publish("v1/north/cam/cmd/3/req/white_list", "{}", 1, 1));
  EXPECT_EQ(next_topic(*cam), "device/cam/new") << "of a service that publishes the command itself";
  g.signal_engine(SIGKILL);
  EXPECT_EQ(shown(g.admin_port(), "cam", "2.7"), "2.7") << "the next engine knows it too";
  says_firmware(*cam, "9.9");
  EXPECT_EQ(shown(g.admin_port(), "cam", "9.9"), "9.9");
  const RestAnswer none = submit(g.admin_port(), "cam", "4");
  EXPECT_TRUE(none.status == 422 && none.body.find("capability_missing") != std::string::npos)
      << none.body;
}

TEST_F(Firmware, OfAControllerIsInItsHelloAndItsReportOfHealth) {
  EXPECT_EQ(submit(g.admin_port(), "gate", "0").status, 422) << "of the registered one: no variant";
  auto gate = std::make_unique<ParkClient>(g.park_port(), controller("2.1"));
  ASSERT_TRUE(gate->welcome());
  EXPECT_EQ(shown(g.admin_port(), "gate", "2.1"), "2.1");
  EXPECT_EQ(submit(g.admin_port(), "gate", "1").status, 202);
  EXPECT_TRUE(gate->next_command().starts_with("white_list 1"));
  v1::Envelope e;
  e.set_event_id("h");
  e.mutable_health()->set_firmware("3.0");
  gate->report(e);
  EXPECT_TRUE(gate->acknowledged());
  EXPECT_EQ(shown(g.admin_port(), "gate", "3.0"), "3.0");
  g.signal_engine(SIGKILL);
  EXPECT_EQ(submit(g.admin_port(), "gate", "2").status, 202);
  EXPECT_TRUE(gate->next_command().starts_with("white_list 2"));
  gate.reset();
  ParkClient older(g.park_port(), controller("1.4"));
  ASSERT_TRUE(older.welcome());
  EXPECT_EQ(shown(g.admin_port(), "gate", "1.4"), "1.4");
  EXPECT_EQ(submit(g.admin_port(), "gate", "3").status, 422);
  older.device().bye();
  ParkClient silent(g.park_port(), controller(""));
  ASSERT_TRUE(silent.welcome());
  EXPECT_EQ(shown(g.admin_port(), "gate", "1.4"), "1.4") << "who says none has the one of before";
}

// The home of a device may be another partition than that of its session, which alone has heard of
// its firmware.
TEST(FirmwareInPartitions, ChoosesTheVariantWhereTheDeviceIs) {
  const Files files;
  std::string devices;
  const std::vector<std::string> names{"c0", "c1", "c2", "c3", "c4", "c5"};
  for (const std::string& name : names) devices += device(name, "camera", "");
  Cluster c({.engines = 2,
             .edges = 1,
             .engine_flags = {"--config", files.config(devices)},
             .edge_flags = {},
             .partitions = 4,
             .anonymous = false});
  for (const std::string& name : names) {
    auto cam = subscribed(c.edges[0]->mqtt_port(), as_device(name), "device/" + name + "/#", 1);
    says_firmware(*cam, "2.7");
    EXPECT_EQ(shown(c.edges[0]->admin_port(), name, "2.7"), "2.7");
    const RestAnswer a = submit(c.edges[0]->admin_port(), name, "of-" + name);
    EXPECT_EQ(a.status, 202) << name << " " << a.body;
    EXPECT_EQ(next_topic(*cam), "device/" + name + "/new");
  }
}

}  // namespace
}  // namespace berth::test
