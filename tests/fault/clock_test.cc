// The wall clock is set while the gateway runs: the clock of an engine process, and of the next.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

constexpr std::int64_t kDay_ms = 86'400'000;
constexpr const char* kForward = "berth_clock_jumps_total{direction=\"forward\"}";
constexpr const char* kBack = "berth_clock_jumps_total{direction=\"back\"}";

struct SetClock {
  std::string file = std::filesystem::temp_directory_path() / "berth-clock-XXXXXX";
  SetClock() {
    ::close(mkstemp(file.data()));
    ahead(0);
    setenv("BERTH_FAULT_CLOCK", file.c_str(), 1);
  }
  ~SetClock() {
    unsetenv("BERTH_FAULT_CLOCK");
    std::filesystem::remove(file);
  }
  void ahead(std::int64_t ms) const {  // at once, or not at all
    std::ofstream(file + ".new") << ms;
    std::filesystem::rename(file + ".new", file);
  }
};

// What the session's device finds, all of it.
std::vector<Packet> come(const GatewayProcess& g, bool& present) {
  RawClient c(g.mqtt_port());
  c.send(connect({.client_id = "a", .clean = false, .properties = expiry(7 * 86'400)}));
  std::vector<Packet> all;
  for (std::size_t before = 0; before == 0 || before != all.size();) {
    before = all.size();
    const auto limit = std::chrono::seconds(before == 0 ? 20 : 2);
    for (const Packet& p : c.until(3, limit)) all.push_back(p);
  }
  present = !all.empty() && all[0].type == 2 && (all[0].body[0] & 1) != 0;
  std::erase_if(all, [](const Packet& p) { return p.type != 3; });
  std::string acks;
  for (const Packet& p : all) acks += ack(4, p.id());
  c.send(acks + disconnect());
  EXPECT_TRUE(c.closed_within(std::chrono::seconds(20)));
  return all;
}

TEST(ClockSet, TenYearsForwardAndADayBack) {
  const SetClock clock;
  GatewayProcess g({"--anonymous"});
  bool present = false;
  auto p = connected(g.mqtt_port(), {.client_id = "p"});
  {
    auto a = connected(g.mqtt_port(),
                       {.client_id = "a", .clean = false, .properties = expiry(7 * 86'400)});
    a->send(subscribe(1, "t", 1));
    a->until(9);
    a->send(disconnect());
    a->closed_within(std::chrono::seconds(20));
  }
  const std::string expires = std::string("\x02", 1) + u16(0) + u16(3600);
  p->send(publish("t", "kept", 1, 1) + publish("t", "late", 1, 2, 5, false, false, expires));
  p->until(4);
  p->until(4);
  clock.ahead(3650 * kDay_ms);
  ASSERT_TRUE(eventually([&] { return g.metric(kForward) == 1; }));
  EXPECT_NE(g.log().find("wall clock jumped"), std::string::npos);
  const pid_t before = g.engine_pid();
  g.signal_engine(SIGKILL);
  ASSERT_TRUE(eventually([&] { return g.engine_pid() > 0 && g.engine_pid() != before; }));
  std::vector<Packet> got = come(g, present);
  EXPECT_TRUE(present) << "its week has not passed";
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].payload(5), "kept");

  p->send(publish("t", "hour", 1, 3, 5, false, false, expires));
  p->until(4);
  clock.ahead(3649 * kDay_ms);
  ASSERT_TRUE(eventually([&] { return g.metric(kBack) == 1; }));
  got = come(g, present);
  EXPECT_TRUE(present);
  ASSERT_EQ(got.size(), 1u);
  const std::string props = got[0].properties(5);
  ASSERT_EQ(props.size(), 5u);
  const unsigned left =
      static_cast<unsigned char>(props[3]) * 256u + static_cast<unsigned char>(props[4]);
  EXPECT_EQ(props.substr(0, 3), std::string("\x02\0\0", 3));
  EXPECT_LE(left, 3600u);
  EXPECT_FALSE(p->gone());
}

}  // namespace
}  // namespace berth::test
