// A gateway with few open files: devices never take those that engines, store and operators need.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "tests/support/limits.h"
#include "tests/support/raw_client.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

class Descriptors : public ::testing::TestWithParam<const char*> {
 protected:
  Descriptors() {
    std::string name = std::filesystem::temp_directory_path() / "berth-few-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~Descriptors() override { std::filesystem::remove_all(directory_); }
  std::vector<std::string> flags() const {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
  std::string directory_;
};
INSTANTIATE_TEST_SUITE_P(Shapes, Descriptors, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

TEST_P(Descriptors, DevicesLeaveSomeForEnginesAndOperators) {
  raise_own_descriptors();
  const FewDescriptors few(directory_, 300);
  const Setting silent("BERTH_MQTT_BEFORE_LOGIN_PER_ADDRESS", "0");
  GatewayProcess g(flags());
  EXPECT_NE(g.log().find("mqtt.max_connections is 100000 but 300 open files"), std::string::npos)
      << g.log();
  const double limit = g.metric("berth_connections_limit");
  EXPECT_GT(limit, 20);
  EXPECT_LT(limit, 200);
  Victim victim({.port = g.mqtt_port()});
  std::vector<std::unique_ptr<RawClient>> all;
  for (int i = 0; i < 400; ++i) all.push_back(std::make_unique<RawClient>(g.mqtt_port()));
  EXPECT_TRUE(eventually([&] {
    return g.metric("berth_connections_refused_total{reason=\"limit\"}") >= 400 - limit;
  }));
  EXPECT_EQ(g.metric("berth_accepts_failed_total"), 0);
  if (*GetParam() == 0) {  // engines are still replaced, twice
    for (int deaths = 1; deaths <= 2; ++deaths) {
      g.signal_engine(SIGKILL);
      EXPECT_TRUE(eventually([&] { return g.metric("berth_engine_deaths_total") == deaths; }));
      EXPECT_TRUE(eventually([&] { return g.serving(); }));
    }
  }
  const VictimReport r = victim.stop();
  EXPECT_EQ(r.sent, r.received);
  EXPECT_EQ(r.closed, 0u);
}

TEST_P(Descriptors, TooFewIsOneClearError) {
  const FewDescriptors few(directory_, 110);
  try {
    const GatewayProcess g(flags());
    FAIL() << "it started";
  } catch (const std::runtime_error& e) {
    const std::string log = e.what();
    EXPECT_NE(log.find("the limit of open files is 110, at least "), std::string::npos) << log;
    EXPECT_NE(log.find("ulimit -n"), std::string::npos) << log;
    EXPECT_EQ(log.find("ssert"), std::string::npos) << log;
  }
}

}  // namespace
}  // namespace berth::test
