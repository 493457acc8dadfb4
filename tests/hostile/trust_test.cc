// What is on the disk is lost or damaged under a gateway, or before it starts: nothing that was
// acknowledged goes with it unless it was in what is lost, and then the gateway says so.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

namespace fs = std::filesystem;

std::string with_devices(int n) {
  std::string text =
      "tenants:\n  - name: acme\n    sites: [{name: north}]\n    accounts:\n"
      "      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}\n"
      "    devices:\n";
  for (int i = 1; i <= n; ++i) {
    const std::string name = "cam-" + std::to_string(i);
    text += "      - {name: " + name + ", site: north, credentials: [{auth_id: " + name +
            ", password: secret}]}\n";
  }
  return text;
}

class Trust : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / "berth-trust-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override {
    g_.reset();
    fs::remove_all(directory_);
  }
  std::string file(const std::string& name, const std::string& text) const {
    const std::string at = directory_ + "/" + name;
    std::ofstream(at + ".new") << text;
    fs::rename(at + ".new", at);
    return at;
  }
  void start(std::vector<std::string> flags) {
    if (*GetParam() != 0) flags.emplace_back(GetParam());
    g_ = std::make_unique<GatewayProcess>(flags, directory_);
  }
  bool supervised() const { return *GetParam() == 0; }
  // Of the process that runs now and of those before.
  bool log_has(const std::string& text) const {
    for (const auto& f : fs::directory_iterator(directory_)) {
      if (!f.path().filename().string().starts_with("log.")) continue;
      std::ifstream in(f.path());
      const std::string all(std::istreambuf_iterator<char>(in), {});
      if (all.find(text) != std::string::npos) return true;
    }
    return false;
  }
  int ctl(const std::string& command, std::string* output = nullptr) const {
    const std::string all = berth_binary() +
                            " ctl --admin 127.0.0.1:" + std::to_string(g_->admin_port()) + " " +
                            command + " 2>&1";
    FILE* p = popen(all.c_str(), "r");
    std::array<char, 4096> some{};
    for (std::size_t n = 0; (n = fread(some.data(), 1, some.size(), p)) > 0;)
      if (output != nullptr) output->append(some.data(), n);
    return WEXITSTATUS(pclose(p));
  }
  static ConnectOptions as(const std::string& user, const std::string& password) {
    ConnectOptions o{.client_id = user, .clean = false, .properties = expiry(3600)};
    o.user = user + "@acme";
    o.password = password;
    return o;
  }
  std::unique_ptr<RawClient> connected(const ConnectOptions& o, bool* present = nullptr) const {
    auto c = std::make_unique<RawClient>(g_->mqtt_port());
    c->send(connect(o));
    const auto packets = c->until(2);
    const bool good = !packets.empty() && packets.back().type == 2 && packets.back().body[1] == 0;
    if (!good) return nullptr;
    if (present != nullptr) *present = packets.back().body[0] == 1;
    return c;
  }
  // A device that is away, with a command in its queue that was acknowledged to the platform.
  void leave_a_command(const std::string& text) const {
    auto device = connected(as("cam-1", "secret"));
    ASSERT_NE(device, nullptr);
    device->send(subscribe(1, "v1/cmd/#", 1));
    ASSERT_FALSE(device->until(9).empty());
    device->close();
    auto platform = connected(as("platform", "p"));
    ASSERT_NE(platform, nullptr);
    platform->send(publish("v1/north/cam-1/cmd/1/req/display", text, 1, 1));
    const auto acks = platform->until(4);
    ASSERT_FALSE(acks.empty());
    ASSERT_EQ(acks.back().type, 4u);
  }
  void expect_the_command(const std::string& text) const {
    bool present = false;
    auto device = connected(as("cam-1", "secret"), &present);
    ASSERT_NE(device, nullptr);
    EXPECT_TRUE(present);
    const auto packets = device->until(3);
    ASSERT_FALSE(packets.empty());
    ASSERT_EQ(packets.back().type, 3u);
    EXPECT_EQ(packets.back().payload(5), text);
    device->send(ack(4, packets.back().id()));
    device->send(pingreq());
    EXPECT_FALSE(device->until(13).empty());
  }
  std::string directory_;
  std::unique_ptr<GatewayProcess> g_;
};

TEST_P(Trust, AnEmptiedRegistryFileEndsNoSession) {
  const std::string registry = file("registry.yaml", with_devices(30));
  const std::string config =
      file("berth.yaml", "registry: {source: file, refresh_ms: 100, file: " + registry + "}\n");
  start({"--config", config});
  leave_a_command("one");
  auto online = connected(as("cam-2", "secret"));
  ASSERT_NE(online, nullptr);
  file("registry.yaml", "tenants: []\n");
  ASSERT_TRUE(eventually([&] { return log_has("registry has lost most of its records"); }));
  expect_the_command("one");
  leave_a_command("two");
  if (supervised()) g_->signal_engine(SIGKILL);  // the next one has never seen the whole registry
  expect_the_command("two");
  leave_a_command("three");
  online->send(pingreq());
  EXPECT_FALSE(online->until(13).empty());
  EXPECT_FALSE(online->gone());
  EXPECT_EQ(g_->terminate(), 0);
  g_->start();
  expect_the_command("three");
  leave_a_command("four");

  std::string said;
  EXPECT_EQ(ctl("registry restore", &said), 1) << "a file is mended by hand";
  EXPECT_NE(said.find("the registry is a file"), std::string::npos) << said;
  EXPECT_EQ(ctl("registry accept-loss", &said), 0) << said;
  EXPECT_TRUE(eventually([&] { return connected(as("cam-1", "secret")) == nullptr; }));
  EXPECT_EQ(ctl("registry accept-loss", &said), 1) << "there is nothing more to accept";
  file("registry.yaml", with_devices(30));
  bool present = true;
  EXPECT_TRUE(eventually([&] { return connected(as("cam-1", "secret"), &present) != nullptr; }));
}

TEST_P(Trust, ARegistryThatIsGoneIsServedFromItsCopyAndRestored) {
  const std::string config =
      file("berth.yaml", "registry: {source: store, refresh_ms: 100, password_iterations: 3}\n");
  start({"--config", config});
  const Rest rest(g_->admin_port());
  ASSERT_TRUE(eventually([&] { return rest.get("/api/v1/tenants").status == 200; }));
  ASSERT_EQ(rest.import(with_devices(30)).status, 200);
  std::string said;
  ASSERT_TRUE(eventually([&] { return connected(as("cam-1", "secret")) != nullptr; }));
  leave_a_command("one");
  std::string before;
  EXPECT_EQ(ctl("registry export", &before), 0);
  EXPECT_EQ(g_->terminate(), 0);
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(directory_ + "/data/registry.db" + end);
  g_->start();
  expect_the_command("one");
  EXPECT_TRUE(log_has("registry has lost most of its records"));
  EXPECT_EQ(ctl("registry restore", &said), 0) << said;
  EXPECT_TRUE(eventually([&] {
    said.clear();
    ctl("status", &said);
    return log_has("registry is whole again") || log_has("registry's loss is believed");
  }));
  std::string after;
  EXPECT_EQ(ctl("registry export", &after), 0);
  EXPECT_EQ(after, before);
  leave_a_command("two");
  expect_the_command("two");
}

TEST_P(Trust, I10_ADamagedStoreIsMovedAsideAndTheGatewayServes) {
  start({"--anonymous"});
  const std::string store = directory_ + "/data/store";
  const auto serves_with = [&](double aside) {
    auto c = std::make_unique<RawClient>(g_->mqtt_port());
    c->send(connect({.client_id = "k", .clean = false, .properties = expiry(600)}) +
            subscribe(1, "k", 1) + publish("k", "x", 1, 7));
    EXPECT_FALSE(c->until(4).empty());
    EXPECT_EQ(g_->metric("berth_store_damaged"), aside);
  };
  serves_with(0);
  EXPECT_EQ(g_->terminate(), 0);
  for (const auto& f : fs::directory_iterator(store)) {
    if (f.path().filename().string().starts_with("MANIFEST-")) fs::remove(f.path());
  }
  g_->start();
  serves_with(1);
  EXPECT_TRUE(log_has("store damaged, an empty one serves"));
  EXPECT_GT(g_->metric("berth_store_writes_lost_total"), 0);
  EXPECT_EQ(g_->terminate(), 0);
  fs::remove_all(store);
  std::ofstream(store) << "no directory";
  g_->start();
  serves_with(2);
}

// The tail of the log is cut off while the gateway does not run.
TEST_P(Trust, I1_AcknowledgedMessagesThatAreLostAreCounted) {
  start({"--anonymous"});
  RawClient c(g_->mqtt_port());
  c.send(connect({.client_id = "k", .clean = false, .properties = expiry(600)}) +
         subscribe(1, "k", 1));
  ASSERT_FALSE(c.until(9).empty());
  c.close();
  RawClient p(g_->mqtt_port());
  p.send(connect({.client_id = "p"}));
  ASSERT_FALSE(p.until(2).empty());
  for (unsigned id = 1; id <= 20; ++id) {
    p.send(publish("k", std::string(1000, 'm'), 1, id));
    ASSERT_FALSE(p.until(4).empty());
  }
  g_->kill9();
  std::string log;
  for (const auto& f : fs::directory_iterator(directory_ + "/data/store")) {
    if (f.path().extension() == ".log" && f.file_size() > 10'000) log = f.path();
  }
  ASSERT_FALSE(log.empty());
  std::string bytes;
  {
    std::ifstream in(log, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::size_t last = bytes.rfind(std::string(1000, 'm'));
  ASSERT_NE(last, std::string::npos);
  fs::resize_file(log, last);
  g_->start();
  EXPECT_TRUE(eventually([&] { return g_->metric("berth_store_writes_lost_total") >= 1; }));
  EXPECT_TRUE(log_has("store's log is cut off, acknowledged writes are lost"));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Trust, ::testing::Values("", "--single-process"));

}  // namespace
}  // namespace berth::test
