// What an operator sees of a cluster: who answers which command, how an engine ends without its
// store, and a log in which nothing that is in order looks like a fault.
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "tests/support/cluster.h"
#include "tests/support/command_line.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

std::string ctl(int port, const std::string& command) {
  return run("ctl --admin 127.0.0.1:" + std::to_string(port) + " " + command).text;
}

TEST(OperatorCluster, ACommandAtTheWrongProcessSaysWhoAnswers) {
  Cluster c({.engines = 1, .edges = 1});
  const int engine = c.engines[0]->admin_port();
  const int edge = c.edges[0]->admin_port();
  std::string said = ctl(engine, "quarantine");
  EXPECT_NE(said.find("this process is an engine of a cluster: ask an edge"), std::string::npos)
      << said;
  said = ctl(engine, "quarantine --lift 1234");
  EXPECT_NE(said.find("ask an edge"), std::string::npos) << said;
  said = ctl(engine, "restart-engine");
  EXPECT_NE(said.find("restart its service"), std::string::npos) << said;
  said = ctl(edge, "restart-engine");
  EXPECT_NE(said.find("this process is an edge of a cluster"), std::string::npos) << said;
  GatewayProcess g({"--anonymous"});
  said = ctl(edge, "registry export");
  EXPECT_NE(said.find("ask an engine"), std::string::npos) << said;
  said = ctl(engine, "registry export");
  EXPECT_NE(said.find("registry.source is none"), std::string::npos) << said;
  said = ctl(g.admin_port(), "registry export");
  EXPECT_NE(said.find("registry.source is none"), std::string::npos) << said;
  said = ctl(g.admin_port(), "drain");
  EXPECT_NE(said.find("this process is berth serve"), std::string::npos) << said;
  EXPECT_EQ(run("ctl --admin 127.0.0.1:" + std::to_string(g.admin_port()) + " ready").code, 0);
}

// Both sides say so, once, and the edge does not come back at once.
TEST(OperatorCluster, AnotherNumberOfPartitionsIsSaidOnce) {
  Cluster c({.engines = 1, .edges = 1});
  ASSERT_NE(c.active(), nullptr);
  std::string directory = std::filesystem::temp_directory_path() / "berth-other-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  ::setenv("BERTH_STORE_DIRECTORY", directory.c_str(), 1);
  Process other({berth_binary(), "edge", "--engines",
                 "127.0.0.1:" + std::to_string(c.engines[0]->link_port()), "--partitions", "2",
                 "--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0"},
                directory + "/log");
  ::unsetenv("BERTH_STORE_DIRECTORY");
  const std::string refused = "berth_link_refused_total{reason=\"hello\"}";
  ASSERT_TRUE(
      eventually([&] { return c.engines[0]->metric(refused) >= 4; }, std::chrono::seconds(60)))
      << other.log();
  const auto count = [](const std::string& log, const std::string& words) {
    std::size_t n = 0;
    for (std::size_t at = log.find(words); at != log.npos; at = log.find(words, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count(other.log(), "engine refuses us"), 1u) << other.log();
  EXPECT_EQ(count(c.engines[0]->log(), "edge refused"), 1u) << c.engines[0]->log();
  EXPECT_EQ(count(c.engines[0]->log(), "link refused"), 0u) << c.engines[0]->log();
  other.send(SIGTERM);
  other.wait(std::chrono::seconds(60));
  std::filesystem::remove_all(directory);
}

// What waits for Redis was not acknowledged, so an end waits 3 s for it and not drain_seconds (20).
TEST(OperatorCluster, AnEngineEndsWithoutItsStore) {
  for (const int partitions : {1, 3}) {
    Cluster c({.engines = 1, .edges = 1, .partitions = partitions});
    ASSERT_NE(c.active(), nullptr);
    RawClient pub(c.edges[0]->mqtt_port());
    pub.send(connect({.client_id = "pub", .clean = false, .properties = expiry(600)}));
    ASSERT_FALSE(pub.until(2).empty());
    c.redis.stop();
    pub.send(publish("a/b", "waits", 1, 1));
    int status = 0;
    ASSERT_TRUE(eventually(
        [&] {
          c.engines[0]->get("/readyz", &status);
          return status == 503;
        },
        std::chrono::seconds(60)));
    const auto began = Clock::now();
    c.engines[0]->process().send(SIGTERM);
    EXPECT_EQ(c.engines[0]->process().wait(std::chrono::seconds(60)), 0);
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(15)) << c.engines[0]->log();
    c.redis.go_on();
  }
}

TEST(OperatorCluster, AHealthyStartAndAMoveLookLikeNone) {
  Cluster c({.engines = 2, .edges = 1, .engine_flags = {"--log-level", "debug"}, .partitions = 2});
  const auto ready = [&] {
    int status = 0;
    for (const auto& e : c.engines) {
      e->get("/readyz", &status);
      if (status != 200) return false;
    }
    return true;
  };
  const auto held = [&](int a, int b) {
    return [&c, a, b] {
      const auto h = c.held();
      return h == std::vector<int>{a, b} || h == std::vector<int>{b, a};
    };
  };
  ASSERT_TRUE(eventually(held(1, 1), std::chrono::seconds(60)));
  ASSERT_TRUE(eventually(ready, std::chrono::seconds(60)));
  const std::string page = c.engines[0]->get("/api/v1/status");
  EXPECT_NE(page.find("\"edges\":[{\"name\":\""), std::string::npos) << page;
  EXPECT_NE(page.find("\"partition\":1,\"link\":"), std::string::npos)
      << "of each partition " << page;
  c.engines[0]->kill9();
  c.engines[0]->start();
  ASSERT_TRUE(eventually(held(1, 1), std::chrono::seconds(60))) << "one is given back";
  ASSERT_TRUE(eventually(ready, std::chrono::seconds(60)));
  for (const auto& e : c.engines) {
    EXPECT_EQ(e->log().find("store not usable"), std::string::npos) << e->log();
    EXPECT_EQ(e->log().find("client=\"$peer/"), std::string::npos) << e->log();
    EXPECT_EQ(e->log().find("client=$peer/"), std::string::npos) << e->log();
  }
}

// The connection stays, and so does the session: the other engine serves them.
TEST(OperatorCluster, ConfigurationAndLevelsAreOfTheEnginesToo) {
  Cluster c({.engines = 2, .edges = 1, .partitions = 2});
  const int edge = c.edges[0]->admin_port();
  const auto pids = [](const std::string& said, const char* list) {
    std::set<std::int64_t> all;
    const auto v = boost::json::parse(said).as_object();
    if (!v.contains(list)) return all;
    for (const auto& e : v.at(list).as_array()) all.insert(e.at("pid").as_int64());
    return all;
  };
  const auto both = [&] { return pids(ctl(edge, "config show"), "engines").size() == 2; };
  ASSERT_TRUE(eventually(both, std::chrono::seconds(60))) << ctl(edge, "config show");
  for (const char* verb : {"config show", "config diff", "config reload"}) {
    const auto o = boost::json::parse(ctl(edge, verb)).as_object();
    ASSERT_EQ(o.at("engines").as_array().size(), 2u) << verb;
    EXPECT_EQ(o.at("partitions_without_answer").as_int64(), 0) << verb;
    EXPECT_TRUE(o.at("not_asked").as_string().starts_with("other edges")) << verb;
    for (const auto& e : o.at("engines").as_array())
      EXPECT_EQ(e.as_object().contains("result"), std::string(verb) == "config reload") << verb;
  }
  const auto seen = pids(ctl(c.engines[0]->admin_port(), "config show"), "engines");
  EXPECT_EQ(seen.size(), 1u) << "the other one; of itself it speaks above";
  const std::string said = ctl(c.engines[0]->admin_port(), "log-level edge debug");
  EXPECT_NE(said.find(R"("not_asked":"edges)"), std::string::npos) << said;
  EXPECT_NE(ctl(edge, "log-level").find(R"("modules":[])"), std::string::npos);
}

TEST(OperatorCluster, APartitionIsMovedToTheOtherEngine) {
  Cluster c({.engines = 2, .edges = 1, .partitions = 2});
  const int edge = c.edges[0]->admin_port();
  const auto two = [&] {
    const std::string said = ctl(edge, "partitions");
    return said.find(R"("served":false)") == said.npos && said.find(R"("others":0)") == said.npos &&
           said.find(R"("partition":1)") != said.npos;
  };
  ASSERT_TRUE(eventually(two, std::chrono::seconds(60))) << ctl(edge, "partitions");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connected(c.edges[0]->mqtt_port(), {.client_id = "c" + std::to_string(i)}));
    clients.back()->send(subscribe(1, "t" + std::to_string(i), 1));
    ASSERT_FALSE(clients.back()->until(9).empty());
  }
  // A trace of a client is not told again because the other partition has moved.
  Rest rest(edge);
  const std::string trace = "/api/v1/traces/00000000000000aa";
  EXPECT_EQ(rest.ask("POST", "/api/v1/traces", R"({"client":"c0","id":"00000000000000aa"})",
                     "Content-Type: application/json\r\n")
                .status,
            201);
  clients[0]->send(publish("t0", "x", 1, 1));
  ASSERT_FALSE(clients[0]->until(3).empty());
  std::string told = rest.get(trace).body;
  EXPECT_NE(told.find("PUBLISH topic=t0"), std::string::npos) << told;
  const std::string mark = R"("next":")";
  const std::size_t at = told.find(mark) + mark.size();
  const std::string next = told.substr(at, told.find('"', at) - at);
  const std::string other = next.starts_with("0,") ? "0" : "1";
  EXPECT_EQ(run("ctl --admin 127.0.0.1:" + std::to_string(edge) + " partitions move " + other).code,
            0);
  told = rest.get(trace + "?after=" + next).body;
  EXPECT_NE(told.find(R"("lost":true)"), std::string::npos) << told;
  EXPECT_EQ(told.find("PUBLISH topic=t0"), std::string::npos) << told;
  EXPECT_NE(told.find(mark + next + "\""), std::string::npos) << told;
  for (const char* partition : {"0", "1", "0"}) {
    // An engine that has given a partition away has links for it again a moment later.
    ASSERT_TRUE(eventually(two, std::chrono::seconds(60))) << ctl(edge, "partitions");
    const auto moved = run("ctl --admin 127.0.0.1:" + std::to_string(edge) + " partitions move " +
                           std::string(partition));
    EXPECT_EQ(moved.code, 0) << moved.text << c.engines[0]->log() << c.engines[1]->log();
    EXPECT_NE(moved.text.find("moved from host "), std::string::npos) << moved.text;
    EXPECT_NE(moved.text.find(" to host "), std::string::npos) << moved.text;
  }
  for (int i = 0; i < 20; ++i) {
    clients[i]->send(publish("t" + std::to_string(i), "x", 1, 1));
    EXPECT_FALSE(clients[i]->until(3).empty()) << i;
    EXPECT_FALSE(clients[i]->gone());
  }
  EXPECT_EQ(run("ctl --admin 127.0.0.1:" + std::to_string(edge) + " partitions move 2").code, 1);
  EXPECT_EQ(rest.ask("POST", "/api/v1/partitions/0/move?process=1234").status, 409)
      << "another engine serves it than the caller has seen";
  // Held: the engine with both partitions keeps them, though the other one has none.
  ASSERT_TRUE(eventually(two, std::chrono::seconds(60))) << ctl(edge, "partitions");
  const std::string all = "ctl --admin 127.0.0.1:" + std::to_string(edge) + " partitions ";
  ASSERT_EQ(run(all + "hold 600").code, 0);
  const auto on_one = [&] {
    const auto h = c.held();
    return h == std::vector<int>{2, 0} || h == std::vector<int>{0, 2};
  };
  const auto to_one = [&] { return run(all + "move 0 --hold 600").code == 0 && on_one(); };
  ASSERT_TRUE(eventually(to_one, std::chrono::seconds(60))) << ctl(edge, "partitions");
  EXPECT_NE(ctl(edge, "partitions").find("\"hold_s\":"), std::string::npos);
  ASSERT_TRUE(eventually(two, std::chrono::seconds(60))) << ctl(edge, "partitions");
  EXPECT_TRUE(on_one()) << "its links are whole, and it has not given one away";
  ASSERT_EQ(run(all + "hold 0").code, 0);
  EXPECT_TRUE(eventually(
      [&] {
        return c.held() == std::vector<int>{1, 1};
      },
      std::chrono::seconds(60)))
      << ctl(edge, "partitions");
}

TEST(OperatorCluster, APartitionStaysWithTheOnlyEngine) {
  Cluster c({.engines = 1, .edges = 1, .partitions = 2});
  const int edge = c.edges[0]->admin_port();
  ASSERT_TRUE(
      eventually([&] { return c.held() == std::vector<int>{2}; }, std::chrono::seconds(60)));
  const auto moved = run("ctl --admin 127.0.0.1:" + std::to_string(edge) + " partitions move 0");
  EXPECT_EQ(moved.code, 1);
  EXPECT_NE(moved.text.find("no other engine could serve it"), std::string::npos) << moved.text;
  EXPECT_EQ(c.held(), std::vector<int>{2});
  GatewayProcess g({"--anonymous"});
  EXPECT_NE(ctl(g.admin_port(), "partitions").find("is no cluster"), std::string::npos);
}

}  // namespace
}  // namespace berth::test
