#include "bench/load/scenario.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "bench/load/bench.h"
#include "bench/load/target.h"

namespace berth::bench {
namespace {

TEST(Scenario, ThePublicSuitesNamesAreItsShapes) {
  const Scenario conn = scenario_of("conn-tcp-10K-100");
  EXPECT_EQ(conn.kind, Kind::connections);
  EXPECT_EQ(conn.subscribers, 10'000u);
  EXPECT_EQ(conn.rate, 100);
  const Scenario fanout = scenario_of("fanout-1-1K-1-1K");
  EXPECT_EQ(fanout.publishers, 1u);
  EXPECT_EQ(fanout.subscribers, 1000u);
  EXPECT_EQ(fanout.rate, 1) << "a second is 1,000 that arrive";
  const Scenario p2p = scenario_of("p2p-1K-1K-1K-1K");
  EXPECT_EQ(p2p.publishers, 1000u);
  EXPECT_EQ(p2p.rate, 1000);
  const Scenario shared = scenario_of("sharedsub-1K-5-1K-1K");
  EXPECT_EQ(shared.subscribers, 5u);
  for (const Scenario& s : {conn, fanout, p2p, shared}) {
    EXPECT_EQ(s.qos, 1);
    EXPECT_EQ(s.payload, 16u);
    EXPECT_EQ(s.keep_alive_s, 300);
    EXPECT_EQ(s.seconds, 600);
    EXPECT_FALSE(s.durable || s.tls);
  }
}

TEST(Scenario, SuffixesMakeItDurableAndTls) {
  for (const Scenario& s : named_scenarios()) {
    EXPECT_FALSE(s.what.empty());
    EXPECT_TRUE(scenario_of(s.name + "-tls").tls) << s.name;
    const Scenario both = scenario_of(s.name + "-durable-tls");
    EXPECT_TRUE(both.tls && both.durable) << s.name;
    EXPECT_EQ(both.subscribers, s.subscribers);
  }
}

TEST(Scenario, BadNamesAreRefused) {
  for (const char* name : {"", "p2p", "p2p-1K", "p2p-1K-2K-1K-1K", "p2p-1K-1K-1K-1Q", "idle-0",
                           "fanin-1-1-1-0", "conn-tcp-10K", "tls", "p2p-x-kill", "idle-1-2"})
    EXPECT_THROW(scenario_of(name), std::runtime_error) << name;
}

// Each message goes to those that subscribe to its topic, and to nobody else.
TEST(Scenario, FiltersMatchTheTopicsThatAreTheirs) {
  for (const char* name : {"p2p-6-6-6-6", "fanin-6-2-6-6", "fanout-3-4-3-12", "fanout-1-4-1-4"}) {
    const Scenario s = scenario_of(name);
    for (std::uint32_t p = 0; p < s.publishers; ++p) {
      for (std::uint32_t i = 0; i < s.subscribers; ++i) {
        const std::string topic = topic_of(s, "r", p);
        std::string filter = filter_of(s, "r", i);
        const bool matches = filter.ends_with("/#")
                                 ? topic.starts_with(filter.substr(0, filter.size() - 1))
                                 : topic == filter;
        EXPECT_EQ(matches, is_for(s, p, i)) << name << " " << topic << " " << filter;
      }
    }
  }
}

TEST(Target, UrlsSayHowAndWhere) {
  EXPECT_EQ(parse_target("mqtt://127.0.0.1").port, 1883);
  EXPECT_EQ(parse_target("wss://127.0.0.1:99/x").path, "/x");
  EXPECT_EQ(parse_target("wss://127.0.0.1:99/x").port, 99);
  EXPECT_TRUE(parse_target("park://127.0.0.1").park);
  EXPECT_EQ(parse_target("mqtt://[::1]:5").host, "::1");
  for (const char* bad : {"127.0.0.1:1883", "http://127.0.0.1", "mqtt://", "mqtt://127.0.0.1:0",
                          "mqtt://127.0.0.1:x", "mqtt://127.0.0.1:70000"})
    EXPECT_THROW(parse_target(bad), std::runtime_error) << bad;
}

TEST(Target, SourcesAreRanges) {
  EXPECT_EQ(parse_sources("").size(), 0u);
  EXPECT_EQ(parse_sources("127.0.0.2-127.0.0.9,127.0.1.1").size(), 9u);
  for (const char* bad : {"127.0.0.9-127.0.0.2", "x", "0.0.0.0-255.255.255.255", "127.0.0.1-"})
    EXPECT_THROW(parse_sources(bad), std::runtime_error) << bad;
}

TEST(Plan, OptionsThatDoNotGoTogetherAreRefused) {
  const auto bad = [](auto&& change) {
    Options o;
    o.name = "p2p-2-2-2-10";
    change(o);
    EXPECT_THROW(plan_of(o, "mqtt://127.0.0.1"), std::runtime_error);
  };
  bad([](Options& o) { o.rate = 5, o.window = 5; });
  bad([](Options& o) { o.offline = true; });
  bad([](Options& o) { o.sweep = true, o.window = 1; });
  bad([](Options& o) { o.name = "idle-5", o.sweep = true; });
  bad([](Options& o) { o.seconds = 0; });
  Options o;
  o.name = "p2p-2-2-2-10";
  o.rate = 7;
  EXPECT_EQ(plan_of(o, "mqtt://127.0.0.1").scenario.rate, 7);
}

}  // namespace
}  // namespace berth::bench
