// Attacks on the work of a turn: walks over retained messages, trees of filters, PUBLISHes to many.
// Bounded forms, in the shapes with one engine; a cluster's engines are the same code.
//
// The victim is another principal; its p99 is some 20 ms beside a compiler.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

constexpr double kVictimP99_ms = 100;
constexpr auto kLasts = std::chrono::seconds(4);

class HostileWork : public ::testing::TestWithParam<const char*> {
 protected:
  static std::vector<std::string> flags() {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
  static bool single() { return *GetParam() != 0; }
  static pid_t engine_of(GatewayProcess& g) {
    return single() ? g.process().pid() : g.engine_pid();
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, HostileWork, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

void expect_unharmed(Victim& v, GatewayProcess& g, const char* attack) {
  const VictimReport r = v.stop();
  std::printf("%s: %s\n", attack, r.text().c_str());
  EXPECT_GT(r.received, 20u);
  EXPECT_EQ(r.received, r.sent);
  EXPECT_EQ(r.closed, 0u);
  EXPECT_LT(r.p99_ms, kVictimP99_ms);
  EXPECT_LE(g.metric("berth_engine_deaths_total"), 0);  // -1: this shape has none
}

std::string subscribe_to(const std::vector<std::string>& filters, unsigned options) {
  std::string b = u16(1) + std::string(1, '\0');
  for (const std::string& f : filters) b += str(f) + static_cast<char>(options);
  return packet(0x82, b);
}
std::string unsubscribe_from(const std::vector<std::string>& filters) {
  std::string b = u16(2) + std::string(1, '\0');
  for (const std::string& f : filters) b += str(f);
  return packet(0xa2, b);
}

// Says the same again and again, without reading, until it is stopped or closed.
void repeat(std::vector<std::unique_ptr<RawClient>>& attackers, const std::string& bytes) {
  std::vector<std::size_t> at(attackers.size());
  const auto end = Clock::now() + kLasts;
  while (Clock::now() < end) {
    bool any = false;
    for (std::size_t i = 0; i < attackers.size(); ++i) {
      const std::size_t n = attackers[i]->send_some(std::string_view(bytes).substr(at[i]));
      at[i] = (at[i] + n) % bytes.size();
      any = any || n != 0;
    }
    if (!any) eventually([] { return false; }, std::chrono::milliseconds(5));
  }
}

TEST_P(HostileWork, FiltersThatMatchNoRetainedMessage) {
  GatewayProcess g(flags());
  auto publisher = connected(g.mqtt_port(), {.client_id = "retains"});
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += publish("large/" + std::to_string(i), std::string(64'000, 'x'), 0, 0, 5, true);
  for (int i = 0; i < 20'000; ++i)
    all += publish("d" + std::to_string(i) + "/x", "1", 0, 0, 5, true);
  publisher->send(all + publish("end", "", 1, 9));
  ASSERT_FALSE(publisher->until(4).empty());
  Victim v({.port = g.mqtt_port()});
  std::vector<std::string> filters{"large/#"};
  for (int i = 0; i < 900; ++i) filters.push_back("+/nothing" + std::to_string(i));
  std::vector<std::unique_ptr<RawClient>> attackers;
  for (int i = 0; i < 8; ++i) {
    const bool clean = i % 2 == 0;
    attackers.push_back(connected(g.mqtt_port(), {.client_id = "a" + std::to_string(i),
                                                  .clean = clean,
                                                  .properties = expiry(clean ? 0 : 600)}));
  }
  repeat(attackers, subscribe_to(filters, 1) + unsubscribe_from(filters));
  attackers.clear();
  const std::uint64_t before = v.rounds();
  EXPECT_TRUE(eventually([&] { return v.rounds() > before + 100; })) << "the attackers have left";
  expect_unharmed(v, g, "retained walk");
}

TEST_P(HostileWork, ATreeOfFiltersThatAllMatch) {
  GatewayProcess g(flags());
  std::vector<std::vector<std::string>> filters(34);
  for (std::uint32_t i = 0; i < 1u << 15; ++i) {
    std::string f;
    for (int bit = 0; bit < 15; ++bit)
      f += (bit == 0 ? "" : "/") + std::string((i >> bit & 1) != 0 ? "w" : "+");
    filters[i % filters.size()].push_back(f);
  }
  std::vector<std::unique_ptr<RawClient>> sessions;
  for (std::size_t i = 0; i < filters.size(); ++i) {
    sessions.push_back(connected(g.mqtt_port(), {.client_id = "s" + std::to_string(i)}));
    sessions.back()->send(subscribe_to(filters[i], 0x20));
    ASSERT_FALSE(sessions.back()->until(9).empty());
  }
  Victim v({.port = g.mqtt_port()});
  // A change of subscriptions between two PUBLISHes: nothing is cached.
  std::string topic = "w";
  for (int i = 1; i < 15; ++i) topic += "/w";
  std::string bytes;
  for (int i = 0; i < 20; ++i)
    bytes += publish(topic, "x") + subscribe(1, "other", 0x20) + unsubscribe(2, "other");
  std::vector<std::unique_ptr<RawClient>> attackers;
  for (int i = 0; i < 4; ++i)
    attackers.push_back(connected(g.mqtt_port(), {.client_id = "a" + std::to_string(i)}));
  repeat(attackers, bytes);
  attackers.clear();
  expect_unharmed(v, g, "router walk");
}

// Each PUBLISH goes through all members of all groups, and is five bytes long.
TEST_P(HostileWork, SharedSubscriptionsOfManyMembers) {
  GatewayProcess g(flags());
  std::vector<std::string> filters;
  for (int i = 0; i < 900; ++i) filters.push_back("$share/g" + std::to_string(i) + "/x");
  for (int i = 0; i < 40; ++i) {
    auto s = connected(g.mqtt_port(), {.client_id = "m" + std::to_string(i),
                                       .clean = false,
                                       .properties = expiry(600)});
    s->send(subscribe_to(filters, 1));
    ASSERT_FALSE(s->until(9).empty());
  }
  Victim v({.port = g.mqtt_port()});
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += publish("x", "", 0);
  std::vector<std::unique_ptr<RawClient>> attackers;
  for (int i = 0; i < 4; ++i)
    attackers.push_back(connected(g.mqtt_port(), {.client_id = "a" + std::to_string(i)}));
  repeat(attackers, bytes);
  attackers.clear();
  expect_unharmed(v, g, "shared subscriptions");
}

TEST_P(HostileWork, OnePublishToManySessions) {
  GatewayProcess g(flags());
  constexpr int kSessions = 100;
  for (int i = 0; i < kSessions; ++i) {
    auto s = subscribed(
        g.mqtt_port(),
        {.client_id = "o" + std::to_string(i), .clean = false, .properties = expiry(600)}, "big",
        1);
    s->send(disconnect());
    EXPECT_TRUE(s->closed_within(std::chrono::seconds(10)));
  }
  const pid_t engine = engine_of(g);
  const std::uint64_t before = resident_peak_bytes(engine);
  Victim v({.port = g.mqtt_port()});
  auto attacker = connected(g.mqtt_port(), {.client_id = "a"});
  for (unsigned i = 1; i <= 2; ++i) attacker->send(publish("big", std::string(900'000, 'x'), 1, i));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(attacker->until(4, std::chrono::seconds(60)).empty());
  const std::uint64_t grown = resident_peak_bytes(engine) - before;
  std::printf("engine's peak grew by %.0f MB\n", static_cast<double>(grown) / 1e6);
  EXPECT_LT(grown, 250'000'000u) << "180 MB were stored, about 1 MB in each batch";
  expect_unharmed(v, g, "fan-out");
}

}  // namespace
}  // namespace berth::test
