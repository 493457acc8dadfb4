// A cluster with partitions (ADR 10): several engines serve at once, messages pass between them.
// What devices see is checked by the devices (tests/support/swarm.h).
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "protocol/link/types.h"
#include "tests/support/cluster.h"
#include "tests/support/expect_unnoticed.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"
#include "tests/support/swarm.h"

namespace berth::test {
namespace {

int total(const std::vector<int>& v) {
  return std::accumulate(v.begin(), v.end(), 0);
}

// All partitions are served, and by so many engines at least.
void expect_spread(const Cluster& c, int partitions, int engines) {
  EXPECT_TRUE(eventually(
      [&] {
        const auto held = c.held();
        return total(held) == partitions &&
               std::count_if(held.begin(), held.end(), [](int n) { return n > 0; }) >= engines;
      },
      std::chrono::seconds(30)));
}

Cluster::Options four_partitions(int engines) {
  return {.engines = engines,
          .edges = 2,
          .engine_flags = {},
          .edge_flags = {},
          .partitions = 4,
          .engines_later = 2};
}

// And it shows something only if messages went from partition to partition.
void run_partitions(Cluster& c, std::chrono::seconds time, std::chrono::milliseconds period,
                    const std::function<void()>& act, bool clean) {
  run_with(c, time, period, act, clean);
  EXPECT_GT(c.engine_total("berth_partition_messages_total{result=\"taken\"}"), 100);
}

TEST(Partitions, EnginesShareThemOutAndNothingIsNoticed) {
  setenv("BERTH_CLUSTER_REBALANCE_MS", "1000", 1);
  Cluster c(four_partitions(1));
  run_partitions(
      c, std::chrono::seconds(12), std::chrono::seconds(2),
      [&] {
        if (c.engines.size() < 3) c.add_engine();
      },
      true);
  expect_spread(c, 4, 3);
  unsetenv("BERTH_CLUSTER_REBALANCE_MS");
}

TEST(Partitions, EnginesKilledAreNotNoticed) {
  Cluster c(four_partitions(3));
  int kills = 0;
  run_partitions(
      c, std::chrono::seconds(10), std::chrono::milliseconds(2000),
      [&] {
        for (auto& e : c.engines) {
          if (!e->process().running()) e->start();
        }
        const auto held = c.held();
        const auto most = std::max_element(held.begin(), held.end()) - held.begin();
        c.engines[static_cast<std::size_t>(most)]->process().send(SIGKILL);
        ++kills;
      },
      false);
  EXPECT_GE(kills, 3);
}

TEST(Partitions, DrainedEnginesHandOver) {
  Cluster c(four_partitions(3));
  std::size_t next = 0;
  run_partitions(
      c, std::chrono::seconds(10), std::chrono::milliseconds(2000),
      [&] {
        for (auto& e : c.engines) {
          if (!e->process().running()) e->start();
        }
        c.engines[next++ % c.engines.size()]->process().send(SIGTERM);
      },
      true);
}

TEST(Partitions, AStoppedEngineIsReplaced) {
  Cluster c(four_partitions(2));
  GatewayProcess* stopped = nullptr;
  run_partitions(
      c, std::chrono::seconds(10), std::chrono::seconds(4),
      [&] {
        if (stopped != nullptr) return stopped->process().send(SIGCONT);
        stopped = c.active();
        stopped->process().send(SIGSTOP);
      },
      false);
  expect_spread(c, 4, 1);
}

TEST(Partitions, AnEdgeOfAnotherNumberIsRefused) {
  Cluster c(four_partitions(1));
  const std::string at = "127.0.0.1:" + std::to_string(c.engines[0]->link_port());
  const std::string log = c.engines[0]->directory() + "/edge.log";
  Process wrong({berth_binary(), "edge", "--admin", "127.0.0.1:0", "--mqtt", "127.0.0.1:0",
                 "--engines", at, "--partitions", "3"},
                log);
  const std::string why = "refused: cluster.partitions differs: the edge has 3, this engine 4";
  EXPECT_TRUE(eventually([&] { return wrong.log().find(why) != std::string::npos; }))
      << wrong.log();
  const std::string text = wrong.log();
  const std::size_t admin = text.find(" admin=127.0.0.1:");
  ASSERT_NE(admin, std::string::npos) << text;
  const Rest rest(std::atoi(text.c_str() + text.find(':', admin) + 1), {});
  EXPECT_TRUE(eventually([&] {
    return rest.get("/readyz").body.find("engine " + at + ": " + why) != std::string::npos;
  })) << rest.get("/readyz").body;
}

TEST(Partitions, TheNumberStaysWhatItWasAtTheFirstStart) {
  Cluster c(four_partitions(1));
  const std::string log = c.engines[0]->directory() + "/other.log";
  Process other({berth_binary(), "engine", "--admin", "127.0.0.1:0", "--links", "127.0.0.1:0",
                 "--store", c.redis.url(), "--engines", "127.0.0.1:1", "--partitions", "2"},
                log);
  EXPECT_EQ(other.wait(), 78) << other.log();
  EXPECT_NE(other.log().find("the store was begun with 4"), std::string::npos) << other.log();
}

// Each of these would be trivial in one broker; here every client is in another partition or behind
// another edge than the one it deals with.
TEST(Partitions, TheyAreOneGateway) {
  Cluster c(four_partitions(2));
  const auto port = [&](int i) { return c.edges[static_cast<std::size_t>(i) % 2]->mqtt_port(); };
  auto p = connected(port(0), {.client_id = "publisher"});
  unsigned id = 0;
  const auto say = [&](const std::string& topic, const std::string& payload, bool retain = false) {
    p->send(publish(topic, payload, 1, ++id, 5, retain));
    ASSERT_FALSE(p->until(4).empty());
  };
  // Shared: each message to one of them.
  std::vector<std::unique_ptr<RawClient>> members;
  for (int i = 0; i < 6; ++i) {
    members.push_back(
        subscribed(port(i), {.client_id = "m" + std::to_string(i)}, "$share/g/job", 1));
  }
  for (int i = 0; i < 60; ++i) say("job", std::to_string(i));
  std::multiset<std::string> jobs;
  std::vector<unsigned> acks(6, 0);
  EXPECT_TRUE(eventually([&] {
    for (std::size_t i = 0; i < 6; ++i) {
      for (const Packet& k : members[i]->until(3, std::chrono::milliseconds(5))) {
        jobs.insert(k.payload(5));
        members[i]->send(ack(4, k.id()));
        ++acks[i];
      }
    }
    return jobs.size() == 60;
  })) << jobs.size();
  EXPECT_EQ(std::set<std::string>(jobs.begin(), jobs.end()).size(), 60u);
  EXPECT_GE(std::count_if(acks.begin(), acks.end(), [](unsigned n) { return n > 0; }), 4);
  // Retained: the newest, wherever one asks.
  say("state/1", "old", true);
  say("state/1", "new", true);
  say("state/2", "gone", true);
  say("state/2", "", true);
  EXPECT_TRUE(eventually([&] { return c.engine_total("berth_partition_queued_messages") == 0; }));
  for (int i = 0; i < 8; ++i) {
    const auto n = "r" + std::to_string(i);
    auto s = subscribed(port(i), {.client_id = n}, "state/#", 1);
    s->send(publish("end/" + n, "", 1, 1));
    std::vector<std::string> seen;
    for (const Packet& k : s->until(4)) {
      if (k.type == 3) seen.push_back(k.topic() + "=" + k.payload(5));
    }
    for (const Packet& k : s->until(3, std::chrono::milliseconds(seen.empty() ? 5000 : 20)))
      seen.push_back(k.topic() + "=" + k.payload(5));
    EXPECT_EQ(seen, std::vector<std::string>{"state/1=new"}) << n;
  }
  // Take-over at the other edge, again and again.
  const ConnectOptions kept{.client_id = "kept", .clean = false, .properties = expiry(600)};
  auto last = subscribed(port(0), kept, "to/kept", 1);
  for (int i = 1; i < 6; ++i) {
    auto next = connected(port(i), kept);
    EXPECT_TRUE(last->closed_within(std::chrono::seconds(10)));
    say("to/kept", std::to_string(i));
    // The PUBACK on the last connection may not have overtaken this one's CONNECT at another edge:
    // then that message comes again, and says so (4.4).
    std::string heard;
    for (bool again = true; again;) {
      const auto got = next->until(3);
      ASSERT_FALSE(got.empty());
      again = got.back().dup();
      heard = got.back().payload(5);
      next->send(ack(4, got.back().id()));
    }
    EXPECT_EQ(heard, std::to_string(i));
    last = std::move(next);
  }
}

// An edge and the engines die together: what is theirs is the survivors' (I6: wills and expiry only
// after the grace).
TEST(Partitions, SessionsWithoutEdgeAndEngineAreTheSurvivors) {
  setenv("BERTH_SESSION_RESTART_GRACE_S", "3", 1);
  Cluster c({.engines = 2, .edges = 2, .engine_flags = {}, .edge_flags = {}, .partitions = 2});
  auto watch = subscribed(c.edges[1]->mqtt_port(), {.client_id = "watch"}, "w/#", 1);
  std::vector<std::unique_ptr<RawClient>> devices;
  for (int i = 0; i < 8; ++i) {  // in both partitions
    const std::string n = std::to_string(i);
    devices.push_back(connected(c.edges[0]->mqtt_port(), {.client_id = "d" + n,
                                                          .clean = false,
                                                          .properties = expiry(i < 4 ? 2 : 600),
                                                          .will_topic = "w/" + n,
                                                          .will_payload = "gone",
                                                          .will_qos = 1}));
  }
  const auto died = Clock::now();
  c.edges[0]->process().send(SIGKILL);
  for (auto& e : c.engines) e->kill9();
  for (auto& e : c.engines) e->start();
  unsetenv("BERTH_SESSION_RESTART_GRACE_S");
  auto back = connected(c.edges[1]->mqtt_port(),
                        {.client_id = "d7", .clean = false, .properties = expiry(600)});
  std::set<std::string> wills;
  EXPECT_TRUE(eventually([&] {
    for (const Packet& p : watch->until(3, std::chrono::milliseconds(50))) wills.insert(p.topic());
    return wills.size() == 7;
  })) << wills.size();
  EXPECT_GE(Clock::now() - died, std::chrono::seconds(2)) << "not before the grace";
  EXPECT_EQ(wills.count("w/7"), 0u) << "this one came back";
  for (const int i : {0, 5}) {
    RawClient d(c.edges[1]->mqtt_port());
    d.send(
        connect({.client_id = "d" + std::to_string(i), .clean = false, .properties = expiry(600)}));
    const auto answer = d.until(2);
    ASSERT_FALSE(answer.empty());
    EXPECT_EQ(answer[0].body[0] != 0, i == 5) << "expiry 2 s and 600 s";
  }
}

// A name for a client of this partition.
std::string client_of(std::uint32_t partition, const std::string& name) {
  for (int i = 0;; ++i) {
    std::string id = name + std::to_string(i);
    if (protocol::link::partition_of(id, 4) == partition) return id;
  }
}

// A message that kills whichever engine gets it from another partition: after two it is passed
// over, also where it died together with the engine that had sent it.
TEST(Partitions, I12_AForwardedMessageThatKillsEnginesIsSkipped) {
  for (const int engines : {3, 1}) {
    setenv("BERTH_FAULT_FORWARDED", "poison", 1);
    Cluster c(four_partitions(engines));
    auto good = subscribed(
        c.edges[0]->mqtt_port(),
        {.client_id = client_of(1, "good"), .clean = false, .properties = expiry(600)}, "#", 1);
    auto bad = connected(c.edges[1]->mqtt_port(), {.client_id = client_of(2, "bad")});
    bad->send(publish("poison", "x", 1, 1));
    bad->send(publish("t", "after", 1, 2));
    int deaths = 0;
    std::vector<std::string> got;
    const auto revive = [&] {
      for (auto& e : c.engines) {
        if (e->process().running()) continue;
        ++deaths;
        e->start();
      }
    };
    EXPECT_TRUE(eventually(
        [&] {
          revive();
          for (const Packet& p : good->until(3, std::chrono::milliseconds(20))) {
            if (p.type == 3) got.push_back(p.topic());
          }
          return std::find(got.begin(), got.end(), "t") != got.end();
        },
        std::chrono::seconds(40)))
        << engines;
    unsetenv("BERTH_FAULT_FORWARDED");
    revive();  // the message may be here before the last death was seen
    EXPECT_EQ(deaths, 2) << engines;
    EXPECT_EQ(std::count(got.begin(), got.end(), "poison"), 0) << engines;
    EXPECT_EQ(c.engine_total("berth_partition_messages_total{result=\"skipped\"}"), 1) << engines;
    EXPECT_FALSE(bad->gone()) << "its engine was not the one that died";
  }
}

}  // namespace
}  // namespace berth::test
