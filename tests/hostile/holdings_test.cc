// What one principal makes the gateway keep: filters, wills, cookies. Bounded, refused with 0x97,
// counted, and not noticed by a device of another tenant. docs/security.md has the figures.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "tests/support/raw_client.h"
#include "tests/support/shapes.h"

namespace berth::test {
namespace {

constexpr const char* kSettings = R"(
auth: {failures_per_name: 0, failures_per_address: 0}
session: {max_bytes_per_principal: 8388608, per_account: 300}
store: {durability: process}
registry: {source: file, file: REGISTRY}
)";
constexpr const char* kRegistry = R"(
tenants:
  - name: acme
    sites: [{name: north}]
    devices:
      - {name: gate, site: north, credentials: [{auth_id: gate, password: p}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
  - name: other
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
)";
// The p99 of a loaded machine; alone it is below 100 ms.
constexpr Harm kMost{.p99_ms = 500, .edge_growth = 96u << 20, .engine_growth = 96u << 20};

std::string registry_config(const std::string& directory) {
  const std::string registry = directory + "/registry.yaml";
  std::ofstream(registry) << kRegistry;
  std::string text = kSettings;
  text.replace(text.find("REGISTRY"), 8, registry);
  const std::string path = directory + "/berth.yaml";
  std::ofstream(path) << text;
  return path;
}

ConnectOptions as(const std::string& user, const std::string& client_id) {
  ConnectOptions o{.client_id = client_id};
  o.user = user;
  o.password = "p";
  return o;
}

class HostileHoldings : public ::testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    gateway_.emplace(GetParam(), std::vector<std::string>{"--config", registry_config(directory_)});
    growth_.emplace(*gateway_);
    victims_.emplace(*gateway_, [](const std::string& name) { return as("platform@other", name); });
  }
  void TearDown() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    if (victims_) expect_unharmed(*victims_, *gateway_, *growth_, kMost, test->name());
    gateway_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::unique_ptr<RawClient> come(const ConnectOptions& o, unsigned* reason = nullptr) {
    auto c = std::make_unique<RawClient>(gateway_->mqtt_port());
    c->send(connect(o));
    const auto all = c->until(2);
    const bool answered = !all.empty() && all.back().type == 2;
    if (reason != nullptr)
      *reason = answered ? static_cast<unsigned char>(all.back().body[1]) : 0xffffu;
    return c;
  }
  // Reasons of SUBACKs that were 0x97, of `n` filters of `bytes` each.
  int refused_filters(RawClient& c, int n, std::size_t bytes, unsigned options) {
    int refused = 0;
    for (int i = 0; i < n; ++i) {
      std::string f = "v1/" + std::to_string(i) + "/";
      f.append(bytes - f.size(), 'x');
      c.send(subscribe(static_cast<unsigned>(1 + i), f, options));
      const auto all = c.until(9);
      if (all.empty() || all.back().type != 9) break;
      refused += static_cast<unsigned char>(all.back().body.back()) == 0x97 ? 1 : 0;
    }
    return refused;
  }
  double refused(const std::string& what) const {
    return gateway_->metric("berth_session_holdings_refused_total{what=\"" + what + "\"}");
  }

  std::string directory_ = std::filesystem::temp_directory_path() / "berth-holdings-XXXXXX";
  std::optional<ShapedGateway> gateway_;
  std::optional<Growth> growth_;
  std::optional<Victims> victims_;
};
INSTANTIATE_TEST_SUITE_P(Shapes, HostileHoldings,
                         ::testing::Values(Shape::supervised, Shape::single, Shape::cluster),
                         [](const auto& i) { return name_of(i.param); });

TEST_P(HostileHoldings, FiltersOf65KB) {
  ConnectOptions o = as("platform@acme", "greedy");
  o.clean = false;
  o.properties = expiry(600);
  const auto c = come(o);
  EXPECT_EQ(refused_filters(*c, 200, 65'000, 1), 200 - 1);  // 64 KB of a session: one fits
  EXPECT_EQ(refused("filter"), 199);
}

// Their cookies are not said again with each message.
TEST_P(HostileHoldings, ManyFiltersOfSessionsThatAreNotStored) {
  std::vector<std::unique_ptr<RawClient>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(come(as("platform@acme", "volatile-" + std::to_string(i))));
    EXPECT_EQ(refused_filters(*all.back(), 40, 3000, 1), 19);
    all.back()->send(subscribe(100, "t", 1));
    all.back()->until(9);
  }
  const auto p = come(as("platform@acme", "publisher"));
  for (unsigned i = 1; i <= 200; ++i) {
    p->send(publish("t", "x", 1, i));
    const auto answer = p->until(4);
    ASSERT_FALSE(answer.empty());
    for (auto& c : all) {
      const auto got = c->until(3);
      ASSERT_FALSE(got.empty());
      c->send(ack(4, got.back().id()));
    }
  }
}

// A device has one session, a service some; their wills count.
TEST_P(HostileHoldings, WillsOfRandomClientIds) {
  const auto with_will = [&](const std::string& user, const std::string& client_id) {
    ConnectOptions o = as(user, client_id);
    o.clean = false;
    o.properties = expiry(3600);
    o.will_topic = "v1/event/gone";
    o.will_payload = std::string(58'000, 'w');
    o.will_properties = from_hex("18 00 00 0e 10");  // after an hour
    unsigned reason = 0;
    come(o, &reason);  // and gone, without a DISCONNECT
    return reason;
  };
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(with_will("gate@acme", "random-" + std::to_string(i)), 0u);
  EXPECT_EQ(gateway_->metric("berth_sessions_replaced_total"), 99);
  int let_in = 0;
  for (int i = 0; i < 250; ++i)
    let_in += with_will("platform@acme", "random-" + std::to_string(i)) == 0 ? 1 : 0;
  EXPECT_GT(let_in, 100);
  EXPECT_LT(let_in, 150);  // 8 MiB
  EXPECT_GT(refused("will"), 99);
}

}  // namespace
}  // namespace berth::test
