// Attacks on the work of a turn: walks over retained messages, trees of filters, PUBLISHes to many.
// Bounded forms, in every shape. The attackers use the first edge of a cluster.
//
// A victim is another principal; its p99 is some 20 ms beside a compiler.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "tests/support/raw_client.h"
#include "tests/support/shapes.h"

namespace berth::test {
namespace {

constexpr auto kLasts = std::chrono::seconds(4);
constexpr Harm kMost{.p99_ms = 100, .edge_growth = 96u << 20, .engine_growth = 250'000'000};

class HostileWork : public ::testing::TestWithParam<Shape> {
 protected:
  HostileWork() : g(GetParam(), {"--anonymous"}) {}
  void come_victims() {
    growth.emplace(g);
    victims.emplace(g, [](const std::string& name) { return ConnectOptions{.client_id = name}; });
  }
  void expect_no_harm(const char* attack) { expect_unharmed(*victims, g, *growth, kMost, attack); }

  ShapedGateway g;
  std::optional<Growth> growth;
  std::optional<Victims> victims;
};
INSTANTIATE_TEST_SUITE_P(Shapes, HostileWork,
                         ::testing::Values(Shape::supervised, Shape::single, Shape::cluster),
                         [](const auto& i) { return name_of(i.param); });

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
  auto publisher = connected(g.mqtt_port(), {.client_id = "retains"});
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += publish("large/" + std::to_string(i), std::string(64'000, 'x'), 0, 0, 5, true);
  for (int i = 0; i < 20'000; ++i)
    all += publish("d" + std::to_string(i) + "/x", "1", 0, 0, 5, true);
  publisher->send(all + publish("end", "", 1, 9));
  ASSERT_FALSE(publisher->until(4).empty());
  come_victims();
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
  const std::uint64_t before = victims->rounds();
  EXPECT_TRUE(eventually([&] { return victims->rounds() > before + 100; }))
      << "the attackers have left";
  expect_no_harm("retained walk");
}

TEST_P(HostileWork, ATreeOfFiltersThatAllMatch) {
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
  come_victims();
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
  expect_no_harm("router walk");
}

// Each PUBLISH goes through all members of all groups, and is five bytes long.
TEST_P(HostileWork, SharedSubscriptionsOfManyMembers) {
  std::vector<std::string> filters;
  for (int i = 0; i < 900; ++i) filters.push_back("$share/g" + std::to_string(i) + "/x");
  for (int i = 0; i < 40; ++i) {
    auto s = connected(
        g.mqtt_port(),
        {.client_id = "m" + std::to_string(i), .clean = false, .properties = expiry(600)});
    s->send(subscribe_to(filters, 1));
    ASSERT_FALSE(s->until(9).empty());
  }
  come_victims();
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += publish("x", "", 0);
  std::vector<std::unique_ptr<RawClient>> attackers;
  for (int i = 0; i < 4; ++i)
    attackers.push_back(connected(g.mqtt_port(), {.client_id = "a" + std::to_string(i)}));
  repeat(attackers, bytes);
  attackers.clear();
  expect_no_harm("shared subscriptions");
}

TEST_P(HostileWork, OnePublishToManySessions) {
  constexpr int kSessions = 100;
  for (int i = 0; i < kSessions; ++i) {
    auto s = subscribed(
        g.mqtt_port(),
        {.client_id = "o" + std::to_string(i), .clean = false, .properties = expiry(600)}, "big",
        1);
    s->send(disconnect());
    EXPECT_TRUE(s->closed_within(std::chrono::seconds(10)));
  }
  come_victims();
  auto attacker = connected(g.mqtt_port(), {.client_id = "a"});
  for (unsigned i = 1; i <= 2; ++i) attacker->send(publish("big", std::string(900'000, 'x'), 1, i));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(attacker->until(4, std::chrono::seconds(60)).empty());
  // 180 MB were stored, about 1 MB in each batch.
  expect_no_harm("fan-out");
}

}  // namespace
}  // namespace berth::test
