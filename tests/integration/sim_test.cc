// `berth sim` against running gateways: what it says of them is true, and what it says of bad lots
// helps.
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/support/gateway_process.h"

namespace berth::test {
namespace {

struct Output {
  int code = -1;
  std::string text;
};

Output run(const std::string& arguments) {
  Output o;
  FILE* p = popen((berth_binary() + " sim " + arguments + " 2>&1").c_str(), "r");
  std::array<char, 4096> some{};
  for (std::size_t n = 0; (n = fread(some.data(), 1, some.size(), p)) > 0;)
    o.text.append(some.data(), n);
  o.code = WEXITSTATUS(pclose(p));
  return o;
}

class Sim : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "berth-sim-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override {
    g_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }
  // A gateway that knows the lot's devices.
  void start(const std::string& lot, const std::vector<std::string>& flags = {}) {
    const std::string registry = file("registry.yaml", run(lot + " --registry").text);
    const std::string config = file("berth.yaml", "registry: {source: file, file: " + registry +
                                                      "}\npark: {listen: '127.0.0.1:0'}\n");
    std::vector<std::string> all{"--config", config};
    all.insert(all.end(), flags.begin(), flags.end());
    g_ = std::make_unique<GatewayProcess>(all);
  }
  std::string addresses() const {
    return " --mqtt 127.0.0.1:" + std::to_string(g_->mqtt_port()) +
           " --park 127.0.0.1:" + std::to_string(g_->park_port());
  }
  static std::int64_t number(const boost::json::value& v, const char* key) {
    return v.at(key).to_number<std::int64_t>();
  }
  std::string directory_;
  std::unique_ptr<GatewayProcess> g_;
};

constexpr const char* kSmall = BERTH_SOURCE "/config/lots/small.yaml";
constexpr const char* kBadDay = BERTH_SOURCE "/config/lots/bad-day.yaml";

TEST_F(Sim, ALotIsServedAlsoWhileTheEngineDies) {
  start(kSmall);
  Process sim(
      {berth_binary(), "sim", kSmall, "--mqtt", "127.0.0.1:" + std::to_string(g_->mqtt_port()),
       "--park", "127.0.0.1:" + std::to_string(g_->park_port()), "--for", "7", "--speed", "300",
       "--json"},
      directory_ + "/sim.log");
  for (int kills = 0; kills < 2; ++kills) {
    const double heard = g_->metric("berth_messages_received_total{qos=\"1\"}");
    ASSERT_TRUE(eventually(
        [&] { return g_->metric("berth_messages_received_total{qos=\"1\"}") > heard + 20; }));
    g_->signal_engine(SIGKILL);
    ASSERT_TRUE(eventually([&] { return g_->metric("berth_engine_deaths_total") == kills + 1; }));
  }
  EXPECT_EQ(sim.wait(std::chrono::seconds(60)), 0) << sim.log();
  const auto result = boost::json::parse(sim.log());
  EXPECT_EQ(number(result, "lost"), 0);
  EXPECT_EQ(number(result, "dropped"), 0);
  EXPECT_EQ(number(result, "unknown"), 0);
  EXPECT_EQ(number(result, "refused"), 0);
  EXPECT_EQ(number(result, "devices"), 24);
  EXPECT_GT(number(result, "vehicles_arrived"), 10);
  EXPECT_GT(number(result, "executed"), 10) << "barriers were opened by the platform";
  EXPECT_EQ(number(result, "heard"), number(result, "acknowledged"));
}

TEST_F(Sim, OnABadDayNothingAcknowledgedIsLostEither) {
  start(kBadDay);
  const Output o = run(std::string(kBadDay) + addresses() + " --for 12 --json");
  const auto result = boost::json::parse(o.text);
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_EQ(number(result, "lost"), 0) << o.text;
  EXPECT_GT(number(result, "connects"), number(result, "devices") * 2) << "storms";
  EXPECT_GT(number(result, "doubled"), 0) << "said twice";
}

TEST_F(Sim, WithoutARegistryToo) {
  const std::string lot = file("lot.yaml",
                               "lanes:\n  - {name: in-1, protocol: mqtt}\n"
                               "  - {name: out-1, direction: out, protocol: park}\n"
                               "doors: {count: 2, protocol: park}\ncars_per_day: 20000\n");
  g_ = std::make_unique<GatewayProcess>(
      std::vector<std::string>{"--anonymous", "--single-process", "--config",
                               file("berth.yaml", "park: {listen: '127.0.0.1:0'}\n")});
  const Output o = run(lot + addresses() + " --for 3 --every 1 --news");
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_NE(o.text.find("at v1/_/in-1/event/plate"), std::string::npos) << o.text;
  EXPECT_NE(o.text.find("devices 4/4"), std::string::npos) << o.text;
  EXPECT_NE(o.text.find("s, 4 devices:"), std::string::npos) << o.text;
  EXPECT_NE(o.text.find("\nKEPT: "), std::string::npos) << o.text;
}

TEST_F(Sim, WithoutAGatewayItFailsAndSaysSo) {
  const std::string nobody = " --mqtt 127.0.0.1:1 --park 127.0.0.1:1 --for 2";
  const Output people = run(std::string(kSmall) + nobody);
  EXPECT_EQ(people.code, 69) << people.text;
  EXPECT_NE(people.text.find("NOT KEPT: the platform never got in: is there a gateway at "
                             "127.0.0.1:1,"),
            std::string::npos)
      << people.text;
  const Output scripts = run(std::string(kSmall) + nobody + " --json");
  EXPECT_EQ(scripts.code, 69);
  EXPECT_NE(boost::json::parse(scripts.text).at("verdict").as_string(), "kept");
}

TEST_F(Sim, DevicesThatNeverGetInAreAFailure) {
  const std::string lot = file("lot.yaml",
                               "lanes:\n  - {name: in-1, protocol: mqtt}\n"
                               "doors: {count: 2, protocol: park}\ncars_per_day: 20000\n");
  g_ = std::make_unique<GatewayProcess>(std::vector<std::string>{"--anonymous"});
  const Output o = run(lot + " --mqtt 127.0.0.1:" + std::to_string(g_->mqtt_port()) +
                       " --park 127.0.0.1:1 --for 2");
  EXPECT_EQ(o.code, 1) << o.text;
  EXPECT_NE(o.text.find("NOT KEPT: 2 of 3 devices never got in"), std::string::npos) << o.text;
}

TEST_F(Sim, TheRegistryItPrintsIsOne) {
  start(kSmall);
  const std::string anybodys = file("lot.yaml", "lanes: [{name: in-1, protocol: mqtt}]\n");
  EXPECT_EQ(run(anybodys + " --registry").code, 64);
}

TEST_F(Sim, ABadLotIsRefusedWithItsLine) {
  const auto why = [&](const std::string& text) { return run(file("bad.yaml", text)).text; };
  EXPECT_NE(why("speed: 1\nspead: 2\n").find("line 2: unknown key 'spead'"), std::string::npos);
  EXPECT_NE(why("speed: fast\n").find("line 1: no good value of 'speed'"), std::string::npos);
  EXPECT_NE(why("speed: -1\n").find("out of bounds"), std::string::npos);
  EXPECT_NE(why("lanes: [{name: a, protocol: http}]\n").find("one of mqtt, park, camera"),
            std::string::npos);
  EXPECT_NE(why("lanes: [{name: a, protocol: camera}]\n").find("needs a tenant"),
            std::string::npos);
  EXPECT_NE(why("doors: {count: 1, protocol: camera}\n").find("only a lane"), std::string::npos);
  EXPECT_EQ(run(file("bad.yaml", "a: [")).code, 64);
  EXPECT_EQ(run("/nowhere.yaml").code, 64);
}

}  // namespace
}  // namespace berth::test
