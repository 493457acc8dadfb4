// A configuration that changes as a mounted ConfigMap does, while devices are connected (I11).
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>

#include "tests/support/acting.h"
#include "tests/support/certificates.h"
#include "tests/support/command_line.h"
#include "tests/support/expect_unnoticed.h"
#include "tests/support/gateway_process.h"
#include "tests/support/mount.h"
#include "tests/support/raw_client.h"
#include "tests/support/swarm.h"

namespace berth::test {
namespace {

using Files = std::map<std::string, std::string>;

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int swaps_wanted() {  // BERTH_FAULT_SWAPS=10000: the long form
  const char* v = std::getenv("BERTH_FAULT_SWAPS");
  return v == nullptr ? 500 : std::atoi(v);
}

class ReloadFault : public ::testing::TestWithParam<const char*> {
 protected:
  ReloadFault() {
    std::string name = std::filesystem::temp_directory_path() / "berth-reload-XXXXXX";
    directory_ = mkdtemp(name.data());
    Certificates certificates(directory_);
    for (const char* one : {"even", "odd"}) {
      certificates.issue(one, "localhost");
      for (const char* what : {".crt", ".key"})
        pems_[std::string(one) + what] = text_of(certificates.file(std::string(one) + what));
    }
    mount_.swap(generation(0));
    gateway_ = std::make_unique<GatewayProcess>(flags());
  }
  ~ReloadFault() override {
    gateway_.reset();
    std::filesystem::remove_all(directory_);
  }

  static std::vector<std::string> with_shape(std::vector<std::string> flags) {
    const std::string shape = GetParam();
    if (!shape.empty()) flags.push_back(shape);
    return flags;
  }
  std::vector<std::string> flags() const {
    return with_shape({"--config", mount_.file("berth.yaml")});
  }
  // A certificate and the key of another generation are refused: so a torn set would be seen.
  Files generation(int i) const {
    const std::string one = i % 2 == 0 ? "even" : "odd";
    return {{"berth.yaml",
             "# " + std::to_string(i) + "\nauth: {anonymous: always, acl_file: '" +
                 mount_.file("acl") + "'}\nmqtts: {listen: '127.0.0.1:0', cert_file: '" +
                 mount_.file("tls.crt") + "', key_file: '" + mount_.file("tls.key") + "'}\n"},
            {"acl", "topic readwrite #\nuser u" + std::to_string(i) + "\ntopic readwrite #\n"},
            {"tls.crt", pems_.at(one + ".crt")},
            {"tls.key", pems_.at(one + ".key")}};
  }
  double taken() const { return gateway_->metric("berth_config_reloads_total{result=\"taken\"}"); }
  double refused(const std::string& cause) const {
    return gateway_->metric("berth_config_reloads_total{result=\"" + cause + "\"}");
  }
  bool single() const { return *GetParam() != '\0'; }
  double hash_of(const std::string& process) const {
    return gateway_->metric("berth_config_hash{process=\"" + process + "\"}");
  }
  Output ctl(const std::string& what) const {
    return run("ctl --admin 127.0.0.1:" + std::to_string(gateway_->admin_port()) + " config " +
               what);
  }

  // The reason code of CONNACK; -1: the connection was closed.
  static int answer_to_connect(RawClient& c, const std::string& id) {
    c.send(connect({.client_id = id}));
    const std::vector<Packet> all = c.until(2);
    return all.empty() || all.back().body.size() < 2
               ? -1
               : static_cast<unsigned char>(all.back().body[1]);
  }

  std::string directory_;
  Files pems_;
  Mount mount_;
  std::unique_ptr<GatewayProcess> gateway_;
};

TEST_P(ReloadFault, I11_SwapsUnderLoadAreNoEventForDevices) {
  Swarm swarm({.port = gateway_->mqtt_port(), .devices = 60, .publish_per_s = 600});
  ASSERT_TRUE(swarm.connect_all());
  std::atomic<bool> done{false};
  bool followed = true;
  std::thread kubelet([&] {
    for (int i = 1; i <= swaps_wanted() && followed; ++i) {
      const double before = i % 10 == 0 ? taken() : 0;
      mount_.swap(generation(i));
      gateway_->process().send(SIGHUP);
      if (i % 10 == 0) followed = eventually([&] { return taken() > before; });
    }
    done = true;
  });
  while (!done) swarm.run(std::chrono::milliseconds(500));
  kubelet.join();
  EXPECT_TRUE(followed) << gateway_->log();
  EXPECT_TRUE(swarm.settle());
  const SwarmReport r = swarm.report();
  expect_unnoticed(r);
  EXPECT_EQ(r.doubled, 0u);
  for (const char* cause : {"settings", "device_certificates", "acl_file"})
    EXPECT_EQ(refused(cause), 0) << cause << "\n" << gateway_->log();
  EXPECT_GE(taken(), swaps_wanted() / 10);
  if (single()) return;
  EXPECT_TRUE(
      eventually([&] { return hash_of("engine") == hash_of("edge"); }, std::chrono::seconds(60)))
      << "the engine has what the edge has";
}

TEST_P(ReloadFault, BadFilesAreRefusedAndNamedAndGoodOnesTakenWithoutARestart) {
  const double hash = hash_of(single() ? "gateway" : "edge");
  ASSERT_TRUE(eventually([&] { return hash_of(single() ? "gateway" : "edge") > 0; }));
  Files files = generation(0);
  files["acl"] = "topic readwrite #\ntopik #\n";
  mount_.swap(files);
  Output o = ctl("reload");
  EXPECT_EQ(o.code, 78) << o.text;
  EXPECT_NE(o.text.find(mount_.file("acl") + ":2: unknown keyword"), std::string::npos) << o.text;
  EXPECT_EQ(ctl("diff").code, 78);
  EXPECT_EQ(gateway_->metric("berth_config_refused{process=\"" +
                             std::string(single() ? "gateway" : "edge") + "\"}"),
            1);
  files = generation(0);
  files["berth.yaml"] = "\n";
  mount_.swap(files);
  o = ctl("reload");
  EXPECT_EQ(o.code, 78) << o.text;
  EXPECT_NE(o.text.find("the file is empty"), std::string::npos) << o.text;
  mount_.swap(generation(1));
  EXPECT_EQ(ctl("diff").code, 3);
  o = ctl("reload");
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_NE(o.text.find("\"result\":\"taken\""), std::string::npos) << o.text;
  if (!single()) {
    EXPECT_NE(o.text.find("\"engine\":\"taken\""), std::string::npos) << o.text;
  }
  EXPECT_EQ(ctl("diff").code, 0);
  EXPECT_NE(hash_of(single() ? "gateway" : "edge"), hash);
  files = generation(1);
  files["berth.yaml"] += "session: {max_sessions: 77}\nlog: {level: debug}\n";
  mount_.swap(files);
  o = ctl("reload");
  EXPECT_EQ(o.code, 3) << o.text;
  const std::string waits = single() ? "pending_restart" : "pending_engine";
  EXPECT_NE(o.text.find("\"" + waits + "\":[\"session.max_sessions\"]"), std::string::npos)
      << o.text;
  o = ctl("show");
  EXPECT_EQ(o.code, 0);
  EXPECT_NE(o.text.find("\"log.level\":\"debug\""), std::string::npos) << o.text;
  EXPECT_TRUE(eventually([&] {
    const std::string log = gateway_->log();
    return log.find(single() ? "pending restart: session.max_sessions"
                             : "pending_engine=\"session.max_sessions\"") != std::string::npos;
  })) << gateway_->log();
}

// Limits of an incident: those of the edge change with the file, those of an engine with a new one.
// Devices stay connected.
TEST_P(ReloadFault, LimitsChangeWhileDevicesStay) {
  Swarm swarm({.port = gateway_->mqtt_port(), .devices = 20, .publish_per_s = 300});
  ASSERT_TRUE(swarm.connect_all());
  Files files = generation(0);
  files["berth.yaml"] +=
      "session: {max_sessions: 20}\n"
      "mqtt: {max_connections_per_address: " +
      std::to_string(static_cast<int>(gateway_->metric("berth_connections")) + 1) + "}\n";
  mount_.swap(files);
  EXPECT_EQ(ctl("reload").code, 3);
  {
    RawClient one_more(gateway_->mqtt_port());
    RawClient too_many(gateway_->mqtt_port());
    EXPECT_EQ(answer_to_connect(one_more, "more"), 0);
    EXPECT_EQ(answer_to_connect(too_many, "too-many"), -1) << "the edge has its new limit";
  }
  if (!single()) {
    const Output o =
        run("ctl --admin 127.0.0.1:" + std::to_string(gateway_->admin_port()) + " restart-engine");
    EXPECT_EQ(o.code, 0) << o.text;
    EXPECT_EQ(ctl("diff").code, 0) << ctl("diff").text;
    EXPECT_TRUE(eventually([this] {
      RawClient fresh(gateway_->mqtt_port());
      return answer_to_connect(fresh, "fresh") == 0x97;
    })) << "the engine has its new limit";
  }
  for (int i = 0; i < 10; ++i) swarm.run(std::chrono::milliseconds(100));
  EXPECT_TRUE(swarm.settle());
  expect_unnoticed(swarm.report());
}

INSTANTIATE_TEST_SUITE_P(Shapes, ReloadFault, ::testing::Values("", "--single-process"),
                         [](const auto& info) {
                           return std::string(info.param).empty() ? "Supervised" : "SingleProcess";
                         });

}  // namespace
}  // namespace berth::test
