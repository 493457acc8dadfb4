// Attacks on logging in: long names, dear hashes, guesses that hope for the next engine. In every
// shape, beside a device of another tenant.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "tests/support/cluster.h"
#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

constexpr std::uint64_t kMegabyte = 1 << 20;

std::string scratch() {
  std::string name = std::filesystem::temp_directory_path() / "berth-hostile-XXXXXX";
  return mkdtemp(name.data());
}

// Two tenants: of "mall" one password costs as many iterations as are allowed.
std::string registry_yaml() {
  const std::string dear =
      "$7$250000$AAAAAAAAAAAAAAAA$" + std::string(85, 'A') + "Q==";  // nobody's
  return "tenants:\n"
         "  - {name: acme, sites: [{name: n}], products: [{name: p, topics: [\"victim/#\"]}], "
         "devices: [{name: cam, site: n, product: p, credentials: [{auth_id: cam, password: "
         "secret}]}, {name: cam2, site: n, product: p, credentials: [{auth_id: cam2, password: "
         "secret2}]}]}\n"
         "  - {name: mall, sites: [{name: n}], devices: [{name: slow, site: n, credentials: "
         "[{auth_id: slow, password_hash: \"" +
         dear + "\"}]}]}\n";
}

// A gateway or a cluster whose log-ins are those of the registry.
class Logins : public ::testing::TestWithParam<const char*> {
 protected:
  Logins() : directory_(scratch()) {}
  ~Logins() override {
    gateway_.reset();
    cluster_.reset();
    std::filesystem::remove_all(directory_);
  }
  void start(const std::string& auth) {
    std::ofstream(directory_ + "/registry.yaml") << registry_yaml();
    std::ofstream(directory_ + "/berth.yaml")
        << "registry: {source: file, file: " << directory_ << "/registry.yaml}\n"
        << "auth: {" << auth << "}\n";
    const std::vector<std::string> flags{"--config", directory_ + "/berth.yaml"};
    if (std::string(GetParam()) == "cluster") {
      cluster_ = std::make_unique<Cluster>(
          Cluster::Options{.engines = 1, .edges = 1, .engine_flags = flags, .edge_flags = {}});
      return;
    }
    std::vector<std::string> all = flags;
    if (std::string(GetParam()) == "single") all.emplace_back("--single-process");
    gateway_ = std::make_unique<GatewayProcess>(all);
  }
  int port() const { return cluster_ ? cluster_->edges[0]->mqtt_port() : gateway_->mqtt_port(); }
  pid_t engine() const {
    if (cluster_) return cluster_->engines[0]->process().pid();
    return std::string(GetParam()) == "single" ? gateway_->process().pid() : gateway_->engine_pid();
  }
  double metric(const std::string& name) const {
    return cluster_ ? cluster_->engine_total(name) : gateway_->metric(name);
  }
  // The reason code of the CONNACK; -1: none came.
  int log_in(const std::string& user, const std::string& password,
             const std::string& client_id = "guess") const {
    RawClient c(port());
    c.send(connect({.client_id = client_id, .user = user, .password = password}));
    const auto got = c.until(2, std::chrono::seconds(60));
    return got.empty() ? -1 : static_cast<unsigned char>(got[0].body[1]);
  }
  Victim::Options victim() const {
    return {.port = port(),
            .login = {.client_id = "victim", .user = "cam@acme", .password = "secret"}};
  }
  std::string directory_;
  std::unique_ptr<GatewayProcess> gateway_;
  std::unique_ptr<Cluster> cluster_;
};
INSTANTIATE_TEST_SUITE_P(Shapes, Logins, ::testing::Values("supervised", "single", "cluster"),
                         [](const auto& i) { return std::string(i.param); });

void expect_undisturbed(const VictimReport& r) {
  std::puts(r.text().c_str());
  EXPECT_EQ(r.received, r.sent) << r.text();
  EXPECT_EQ(r.closed, 0u) << r.text();
}

// 1,500 names of 60 KB, each another one: nothing of them is kept.
TEST_P(Logins, LongNamesAreNotRemembered) {
  start("failures_per_address: 0");
  Victim v(victim());
  const std::uint64_t before = resident_bytes(engine());
  ASSERT_GT(before, 0u);
  for (int i = 0; i < 1500; ++i) {
    ASSERT_EQ(log_in(std::string(60'000, 'n') + std::to_string(i) + "@acme", "x"), 0x86) << i;
  }
  const std::uint64_t after = resident_bytes(engine());
  EXPECT_LT(after, before + 32 * kMegabyte) << "names alone are 90 MB";
  expect_undisturbed(v.stop());
}

// The thread that hashes is asked for the dearest hashes there may be, by many connections that
// stay and by some that go: a device of another tenant logs in after one of them at most.
TEST_P(Logins, DearHashesKeepNobodyElseWaiting) {
  start("failures_per_address: 0, failures_per_name: 0");
  Victim v(victim());
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 60; ++i) {
    crowd.push_back(std::make_unique<RawClient>(port()));
    crowd.back()->send(connect({.client_id = "slow" + std::to_string(i),
                                .user = "slow@mall",
                                .password = "guess" + std::to_string(i)}));
    if (i % 4 == 3) crowd.back()->close();
  }
  const auto begin = Clock::now();
  EXPECT_EQ(log_in("cam2@acme", "secret2", "late"), 0);
  const auto took = Clock::now() - begin;
  std::size_t waiting = 0;
  for (const auto& c : crowd)
    waiting += c->connected() && c->until(2, std::chrono::milliseconds(1)).empty() ? 1 : 0;
  EXPECT_GT(waiting, crowd.size() / 4) << "it overtook them";
  std::printf(
      "logged in after %lld ms, %zu still wait\n",
      static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()),
      waiting);
  expect_undisturbed(v.stop());
}

// A guesser whose tries are used up does not get new ones by the death of an engine, and a device
// that has logged in may still come back.
TEST(LoginsSupervised, TheNextEngineKnowsTheGuesser) {
  const std::string directory = scratch();
  std::ofstream(directory + "/registry.yaml") << registry_yaml();
  std::ofstream(directory + "/berth.yaml")
      << "mqtt: {proxy_protocol: true}\nregistry: {source: file, file: " << directory
      << "/registry.yaml}\nauth: {failure_forgiven_s: 3600}\n";
  {
    GatewayProcess g({"--config", directory + "/berth.yaml"});
    const auto log_in = [&](const std::string& from, const std::string& password) {
      RawClient c(g.mqtt_port());
      c.send("PROXY TCP4 " + from + " 10.0.0.1 1 2\r\n" +
             connect({.client_id = from, .user = "cam@acme", .password = password}));
      const auto got = c.until(2);
      return got.empty() ? -1 : static_cast<int>(static_cast<unsigned char>(got[0].body[1]));
    };
    ASSERT_EQ(log_in("192.0.2.1", "secret"), 0);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(log_in("192.0.2.9", "guess"), 0x86) << i;
    EXPECT_EQ(log_in("192.0.2.9", "secret"), 0x9f);
    for (int i = 0; i < 12; ++i) EXPECT_EQ(log_in("192.0.2.1", "typo"), 0x86) << i;
    for (int round = 0; round < 2; ++round) {
      g.signal_engine(SIGKILL);
      EXPECT_EQ(log_in("192.0.2.9", "secret"), 0x9f) << "round " << round;
      EXPECT_EQ(log_in("192.0.2.1", "secret"), 0) << "it has logged in from there";
    }
  }
  std::filesystem::remove_all(directory);
}

// The same where another process takes over, killed or stopped.
TEST(LoginsCluster, TheEngineThatTakesOverKnowsTheGuesser) {
  const std::string directory = scratch();
  std::ofstream(directory + "/registry.yaml") << registry_yaml();
  std::ofstream(directory + "/berth.yaml")
      << "mqtt: {proxy_protocol: true}\nregistry: {source: file, file: " << directory
      << "/registry.yaml}\nauth: {failure_forgiven_s: 3600}\n";
  {
    const std::vector<std::string> flags{"--config", directory + "/berth.yaml"};
    Cluster c({.engines = 3, .edges = 1, .engine_flags = flags, .edge_flags = flags});
    ASSERT_NE(c.active(), nullptr);
    const auto log_in = [&](const std::string& from, const std::string& password) {
      RawClient device(c.edges[0]->mqtt_port());
      device.send("PROXY TCP4 " + from + " 10.0.0.1 1 2\r\n" +
                  connect({.client_id = from, .user = "cam@acme", .password = password}));
      const auto got = device.until(2);
      return got.empty() ? -1 : static_cast<int>(static_cast<unsigned char>(got[0].body[1]));
    };
    ASSERT_EQ(log_in("192.0.2.1", "secret"), 0);
    for (int i = 0; i < 12; ++i) EXPECT_EQ(log_in("192.0.2.9", "guess"), i < 5 ? 0x86 : 0x9f) << i;
    const auto copied = [&] {  // of the name: five failures
      double most = 0;
      const session::RedisReply all = c.redis.call({"HVALS", "berth:logins"});
      for (const auto& field : all.as_array()) {
        const std::string& bytes = field.as_text();
        if (bytes.size() != 24) continue;
        most = std::max(most, std::bit_cast<double>(base::get_key64(bytes.substr(16))));
      }
      return most > 4.9;
    };
    ASSERT_TRUE(eventually(copied));
    for (const int how : {SIGKILL, SIGTERM}) {
      GatewayProcess* engine = c.active();
      ASSERT_NE(engine, nullptr);
      engine->process().send(how);
      engine->process().wait();
      ASSERT_NE(c.active(), nullptr);
      EXPECT_EQ(log_in("192.0.2.9", "secret"), 0x9f) << how;
      EXPECT_EQ(log_in("192.0.2.1", "secret"), 0) << "it has logged in from there";
    }
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace berth::test
