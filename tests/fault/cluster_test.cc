// Edges and engines as processes of their own, with a real Redis: engines killed, stopped, drained
// and replaced; edges killed and drained. What devices see is checked by the devices
// (tests/support/swarm.h). The larger proof, with addresses and partitions, is
// scripts/cluster-test.
#include <gtest/gtest.h>

#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "protocol/link/records.h"
#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/command_line.h"
#include "tests/support/expect_unnoticed.h"
#include "tests/support/park_client.h"
#include "tests/support/raw_client.h"
#include "tests/support/swarm.h"

namespace berth::test {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "berth-cluster-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Cluster, I1toI4_EnginesKilledAreNotNoticed) {
  Cluster c({.engines = 3, .edges = 2});
  int kills = 0;
  run_with(
      c, std::chrono::seconds(7), std::chrono::milliseconds(1500),
      [&] {
        for (auto& e : c.engines) {  // those that died come back, as a Deployment's would
          if (!e->process().running()) e->start();
        }
        GatewayProcess* active = c.active();
        ASSERT_NE(active, nullptr);
        active->process().send(SIGKILL);
        ++kills;
      },
      false);
  EXPECT_GE(kills, 3);
  EXPECT_GE(c.edge_total("berth_connections_reattached_total"), 300);
  EXPECT_GE(c.edge_total("berth_engine_deaths_total"), kills) << "two edges: nearly twice";
}

TEST(Cluster, I1toI4_EnginesKilledAreNotNoticedOverTlsAndWebSocket) {
  const Listeners listeners;
  for (const Via via : {Via::tls, Via::wss}) {
    Cluster c({.engines = 2, .edges = 2, .engine_flags = {}, .edge_flags = listeners.flags()});
    run_with(
        c, std::chrono::seconds(5), std::chrono::milliseconds(1500),
        [&] {
          for (auto& e : c.engines) {
            if (!e->process().running()) e->start();
          }
          if (GatewayProcess* active = c.active()) active->process().send(SIGKILL);
        },
        false, via);
  }
}

TEST(Cluster, I1toI4_DrainedEnginesHandOverAndDoubleNothing) {
  Cluster c({.engines = 3, .edges = 2});
  int drained = 0;
  run_with(c, std::chrono::seconds(7), std::chrono::milliseconds(1500), [&] {
    for (auto& e : c.engines) {
      if (!e->process().running()) e->start();
    }
    GatewayProcess* active = c.active();
    ASSERT_NE(active, nullptr);
    if (++drained % 2 == 0) {
      active->post("/api/v1/drain");  // berth ctl drain
    } else {
      active->process().send(SIGTERM);
    }
  });
  EXPECT_GE(drained, 3);
}

TEST(Cluster, I1toI4_AStoppedEngineIsReplacedAndFenced) {
  Cluster c({.engines = 2, .edges = 2});
  GatewayProcess* stopped = nullptr;
  run_with(
      c, std::chrono::seconds(9), std::chrono::seconds(4),
      [&] {
        if (stopped != nullptr) {
          stopped->process().send(SIGCONT);
          return;
        }
        stopped = c.active();
        stopped->process().send(SIGSTOP);
      },
      false);
  EXPECT_TRUE(eventually([&] {
    GatewayProcess* active = c.active();  // the stopped one may believe for a moment that it serves
    return active != nullptr && active != stopped;
  }));
  EXPECT_TRUE(eventually([&] {
    return stopped->get("/api/v1/status").find("\"state\":\"standby\"") != std::string::npos;
  })) << "fenced, it begins again as a standby";
  EXPECT_NE(stopped->get("/api/v1/status").find("\"fenced\":1"), std::string::npos);
  for (const auto& edge : c.edges) {
    EXPECT_GE(edge->metric("berth_engine_deaths_total"), 1) << "out of reach is as good as dead";
    EXPECT_GT(edge->metric("berth_engine_gap_seconds_sum"), 0.5) << "from its last heartbeat";
  }
}

TEST(Cluster, AStoppedEdgeComesBackWithItsConnections) {
  Cluster c({.engines = 2, .edges = 2});
  int turn = 0;
  run_with(
      c, std::chrono::seconds(9), std::chrono::seconds(2),
      [&] { c.edges[0]->process().send(++turn % 2 == 1 ? SIGSTOP : SIGCONT); }, false);
}

// Replicas are missing: for WAIT, and for Redis itself (min-replicas-to-write). The engine that
// serves is not ready and says why; it goes on serving, because no other engine would do better.
TEST(Cluster, AnEngineWhoseWritesAreNotConfirmedIsNotReadyAndServesOn) {
  setenv("BERTH_STORE_REDIS_WAIT_REPLICAS", "1", 1);
  Cluster c({.engines = 2, .edges = 1});
  unsetenv("BERTH_STORE_REDIS_WAIT_REPLICAS");
  RedisServer copy({"--replicaof", "127.0.0.1 " + std::to_string(c.redis.port())});
  GatewayProcess* const engine = c.active();
  ASSERT_NE(engine, nullptr);
  const auto ready = [&] { return engine->get("/readyz") == "ok\n"; };
  ASSERT_TRUE(eventually(ready)) << engine->get("/readyz");
  const double term = engine->metric("berth_engine_term");
  auto p = connected(c.edges[0]->mqtt_port(), {.client_id = "p"});
  copy.stop();
  EXPECT_TRUE(eventually([&] {
    return engine->get("/readyz").find("Redis confirms no write: 0 of 1 replicas") !=
           std::string::npos;
  })) << engine->get("/readyz");
  EXPECT_EQ(engine->metric("berth_ready"), 0);
  EXPECT_GT(engine->metric("berth_store_unconfirmed_seconds"), 0);
  EXPECT_NE(engine->log().find("0 of 1 replicas"), std::string::npos);
  copy.go_on();
  EXPECT_TRUE(eventually(ready)) << engine->get("/readyz");

  c.redis.call({"CONFIG", "SET", "min-replicas-to-write", "2"});
  p->send(publish("t", "waits", 1, 1));
  EXPECT_TRUE(eventually([&] {
    return engine->get("/readyz").find("NOREPLICAS") != std::string::npos;
  })) << engine->get("/readyz");
  EXPECT_TRUE(eventually([&] {  // longer than the lease and than edges believe in an engine
    return engine->metric("berth_store_unconfirmed_seconds") > 3;
  }));
  EXPECT_EQ(c.engine_total("berth_engine_serving"), 1);
  EXPECT_TRUE(engine->serving());
  c.redis.call({"CONFIG", "SET", "min-replicas-to-write", "0"});
  EXPECT_EQ(p->until(4).back().id(), 1u);
  EXPECT_TRUE(eventually(ready)) << engine->get("/readyz");
  EXPECT_EQ(engine->metric("berth_engine_term"), term);
}

std::vector<std::string> tls_flags(const std::string& directory, const Certificates& c,
                                   const std::string& name, const std::string& peer) {
  const std::string path = directory + "/" + name + ".yaml";
  std::ofstream(path) << "cluster:\n  ca_file: " << c.file("ca.crt")
                      << "\n  cert_file: " << c.file(name + ".crt")
                      << "\n  key_file: " << c.file(name + ".key") << "\n  peer_name: " << peer
                      << "\n";
  return {"--config", path};
}

TEST(Cluster, MutualTlsIsSpokenAndDemanded) {
  TemporaryDirectory d;
  Certificates certificates(d.path());
  certificates.issue("engine", "berth-engine");
  certificates.issue("edge", "berth-edge");
  certificates.issue("device", "some-device");  // of the same authority
  Cluster c({.engines = 2,
             .edges = 1,
             .engine_flags = tls_flags(d.path(), certificates, "engine", "berth-edge"),
             .edge_flags = tls_flags(d.path(), certificates, "edge", "berth-engine")});
  run_with(
      c, std::chrono::seconds(3), std::chrono::seconds(1),
      [&] {
        for (auto& e : c.engines) {
          if (!e->process().running()) e->start();
        }
        c.active()->process().send(SIGKILL);
      },
      false);
  for (auto& e : c.engines) {
    if (!e->process().running()) e->start();
  }
  ASSERT_NE(c.active(), nullptr);
  const std::string engines = "127.0.0.1:" + std::to_string(c.active()->link_port());
  for (std::vector<std::string> flags :
       {std::vector<std::string>{}, tls_flags(d.path(), certificates, "device", "berth-engine")}) {
    flags.insert(flags.end(),
                 {"--engines", engines, "--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0"});
    flags.insert(flags.begin(), {berth_binary(), "edge"});
    Process stranger(flags, d.path() + "/stranger.log");
    EXPECT_FALSE(eventually([&] { return stranger.log().find("linked") != std::string::npos; },
                            std::chrono::seconds(1)))
        << stranger.log();
    EXPECT_TRUE(stranger.running());
  }
}

// A successor whose files are bad is not given the place of one that works; it says what is wrong,
// and is of use when they are mended.
TEST(Cluster, I14_AnEngineWithBadFilesDoesNotServeWhileAnotherCan) {
  TemporaryDirectory d;
  const std::string config = d.path() + "/engine.yaml";
  std::ofstream(d.path() + "/good.acl") << "topic readwrite #\n";
  std::ofstream(config) << "auth:\n  acl_file: " << d.path() << "/good.acl\n";
  Cluster c({.engines = 2,
             .edges = 2,
             .engine_flags = {"--config", config},
             .edge_flags = {},
             .engines_later = 1});
  ASSERT_NE(c.active(), nullptr);
  std::ofstream(d.path() + "/bad.acl") << "nonsense\n";
  std::ofstream(config) << "auth:\n  acl_file: " << d.path() << "/bad.acl\n";
  GatewayProcess& bad = c.add_engine();  // the youngest: the edges would choose it
  int status = 0;
  const auto ready = [&] {
    const std::string body = bad.get("/readyz", &status);
    return status == 200 ? std::string("ready") : body;
  };
  EXPECT_NE(ready().find("bad.acl:1: "), std::string::npos) << ready();
  EXPECT_TRUE(eventually([&] { return bad.log().find("edge linked") != std::string::npos; }));
  c.active()->kill9();  // and has ended: nobody takes it for the one that serves
  EXPECT_TRUE(eventually([&] {
    return (c.engines[0]->process().running() && c.engines[0]->serving()) ||
           (c.engines[1]->process().running() && c.engines[1]->serving());
  }));
  EXPECT_FALSE(bad.serving());
  c.active()->kill9();  // nobody else is left: it serves those who are in
  EXPECT_TRUE(eventually([&] { return bad.serving(); })) << bad.log();
  const std::string alone = bad.get("/readyz", &status);
  EXPECT_NE(alone.find("degraded: acl_file: "), std::string::npos) << alone;
  EXPECT_EQ(status, 200) << "the only one is not taken out";
  EXPECT_EQ(bad.metric("berth_degraded{part=\"acl_file\"}"), 1);
  std::ofstream(d.path() + "/bad.acl") << "topic readwrite #\n";
  EXPECT_TRUE(eventually([&] { return bad.serving() && bad.get("/readyz") == "ok\n"; }))
      << bad.log();
}

TEST(Cluster, BridgesBetweenEnginesSpeakTlsToo) {
  TemporaryDirectory d;
  Certificates certificates(d.path());
  certificates.issue("engine", "berth-engine");
  certificates.issue("edge", "berth-edge");
  Cluster c(
      {.engines = 2,
       .edges = 1,
       .engine_flags = tls_flags(d.path(), certificates, "engine", "\"berth-edge,berth-engine\""),
       .edge_flags = tls_flags(d.path(), certificates, "edge", "berth-engine"),
       .partitions = 2});
  run_with(c, std::chrono::seconds(3), std::chrono::seconds(9), [] {});
  EXPECT_GT(c.engine_total("berth_partition_messages_total{result=\"taken\"}"), 100);
}

TEST(Cluster, TwoShards) {
  Cluster c({.engines = 2, .edges = 2, .edge_flags = {"--shards", "2"}});
  run_with(
      c, std::chrono::seconds(5), std::chrono::milliseconds(1500),
      [&] {
        for (auto& e : c.engines) {
          if (!e->process().running()) e->start();
        }
        c.active()->process().send(SIGKILL);
      },
      false);
}

TEST(Cluster, TakeOverFromTheOtherEdgeAndAnEdgesEnd) {
  Cluster c({.engines = 1, .edges = 2, .engine_flags = {}});
  const ConnectOptions kept{.client_id = "kept", .clean = false, .properties = expiry(600)};
  auto a = subscribed(c.edges[0]->mqtt_port(), kept, "t", 1);
  auto b = connected(c.edges[1]->mqtt_port(), kept);
  EXPECT_TRUE(a->closed_within(std::chrono::seconds(10)));
  auto p = connected(c.edges[0]->mqtt_port(), {.client_id = "p"});
  p->send(publish("t", "to b", 1, 1));
  const auto got = b->until(3);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().payload(5), "to b");
  EXPECT_EQ(p->until(4).size(), 1u);
  c.edges[1]->kill9();
  p->send(publish("t", "kept for b", 1, 2));
  EXPECT_EQ(p->until(4).size(), 1u) << "acknowledged while the edge is out of reach";
  auto again = connected(c.edges[0]->mqtt_port(), kept);
  const auto later = again->until(3);
  ASSERT_FALSE(later.empty());
  EXPECT_TRUE(later.back().payload(5) == "kept for b" || later.back().payload(5) == "to b");
}

// A device whose input kills engines (BERTH_FAULT_TOPIC), or holds them for ever, is shut out after
// two, by all edges; nobody else is closed.
TEST(Cluster, I12_APoisonousDeviceIsShutOutAfterTwoEngines) {
  for (const char* topic : {"poison", "poison/hang"}) {
    setenv("BERTH_FAULT_TOPIC", "poison", 1);
    Cluster c({.engines = 3, .edges = 2});
    unsetenv("BERTH_FAULT_TOPIC");
    // Who is anonymous is its address.
    auto good = subscribed(c.edges[0]->mqtt_port(), {.client_id = "good"}, "t", 1, 77);
    auto p = connected(c.edges[1]->mqtt_port(), {.client_id = "p"}, 77);
    auto bad = connected(c.edges[0]->mqtt_port(), {.client_id = "bad"});
    bad->send(publish(topic, "x", 1, 1));
    EXPECT_TRUE(bad->closed_within(std::chrono::seconds(20))) << topic;
    EXPECT_EQ(c.edges[0]->metric("berth_quarantined_total"), 1) << topic;
    const auto alive = [&] {
      return std::count_if(c.engines.begin(), c.engines.end(),
                           [](const auto& e) { return e->process().running(); });
    };
    ASSERT_NE(c.active(), nullptr)
        << topic << "\n"
        << c.engines[0]->log() << c.engines[1]->log() << c.engines[2]->log();
    // The last to die may have closed its links and not have ended yet.
    EXPECT_TRUE(eventually([&] { return alive() == 1; })) << topic << alive();
    // It tries again, also at the other edge.
    for (auto& e : c.edges) {
      EXPECT_TRUE(eventually([&] {
        RawClient a(e->mqtt_port());
        a.send(connect({.client_id = "bad"}));
        return a.closed_within(std::chrono::milliseconds(500));
      })) << topic;
    }
    p->send(publish("t", "fine", 1, 1));
    const auto got = good->until(3);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back().payload(5), "fine");
    EXPECT_EQ(alive(), 1) << topic;
  }
}

std::string frame(char type, const std::string& payload) {
  std::string f;
  for (unsigned i = 0; i < 4; ++i) f.push_back(static_cast<char>((payload.size() + 1) >> (8 * i)));
  return f + type + payload;
}

// Whoever reaches the link port (without mTLS) may say anything: the link ends, the engine does
// not.
TEST(Cluster, NonsenseOnTheLinkEndsOnlyTheLink) {
  namespace link = protocol::link;
  Cluster c({.engines = 1, .edges = 1});
  auto good = subscribed(c.edges[0]->mqtt_port(), {.client_id = "good"}, "t", 1);
  const int port = c.engines[0]->link_port();
  std::string hello;
  link::put_hello(hello, {.edge_id = 5, .heartbeat_ms = 250, .generation = 1, .remote = true});
  link::Attach a;
  a.conn = {7, 1};
  std::string attached;
  link::put_attach(attached, a);
  link::put_attached_all(attached);
  std::string far = attached;
  a.conn = {0xffffff, 1};
  link::put_attach(far, a);
  std::string gap;
  link::put_input(gap, {7, 1}, 1000, 0, "bytes from nowhere");
  std::string old_hello;
  link::put_hello(old_hello, {.version = 9, .version_min = 9, .remote = true});
  const std::string in = frame(1, hello) + frame(2, attached);
  std::mt19937 random(1);
  std::string noise;
  for (int i = 0; i < 100'000; ++i) noise.push_back(static_cast<char>(random()));
  for (const std::string& said :
       {noise, std::string(1000, '\xff'), frame(1, "x"), frame(1, old_hello),
        in + frame(2, attached), in + frame(2, far), in + frame(2, gap), in + frame(2, noise),
        in + frame(2, attached.substr(0, 3)), frame(2, attached), frame(7, noise) + in}) {
    RawClient stranger(port);
    stranger.send(said);
    EXPECT_TRUE(stranger.closed_within(std::chrono::seconds(20))) << said.size();
  }
  EXPECT_TRUE(c.engines[0]->process().running());
  auto p = connected(c.edges[0]->mqtt_port(), {.client_id = "p"});
  p->send(publish("t", "fine", 1, 1));
  const auto got = good->until(3);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().payload(5), "fine");
}

// A new edge process on the same host takes all sockets and connections over, in full traffic.
TEST(Cluster, AnEdgeIsReplacedWithoutAConnectionClosed) {
  for (const int n : {1, 2}) {  // of shards, and of partitions
    TemporaryDirectory d;
    setenv("BERTH_CLUSTER_HANDOVER", (d.path() + "/handover.sock").c_str(), 1);
    setenv("BERTH_MQTT_CONNECT_TIMEOUT_S", "60", 1);
    Cluster c(
        {.engines = 2, .edges = 1, .edge_flags = {"--shards", std::to_string(n)}, .partitions = n});
    auto idle = connected(c.edges[0]->mqtt_port(), {.client_id = "idle"});
    RawClient silent(c.edges[0]->mqtt_port());  // has not said anything yet
    auto half = std::make_unique<RawClient>(c.edges[0]->mqtt_port());
    const std::string connect_half = connect({.client_id = "half"});
    half->send(connect_half.substr(0, 7));
    int replaced = 0;
    run_with(
        c, std::chrono::seconds(6), std::chrono::milliseconds(1200),
        [&] {
          c.replace_edge(0);
          const std::string log = c.edges[0]->log();
          EXPECT_NE(log.find("took over"), std::string::npos) << log;
          ++replaced;
        },
        false);
    EXPECT_GE(replaced, 3);
    half->send(connect_half.substr(7));
    EXPECT_EQ(half->until(2).size(), 1u) << "a packet in two processes";
    silent.send(connect({.client_id = "silent"}));
    EXPECT_EQ(silent.until(2).size(), 1u);
    idle->send(std::string("\xc0\x00", 2));
    EXPECT_EQ(idle->until(13).size(), 1u) << "PINGRESP";
    unsetenv("BERTH_CLUSTER_HANDOVER");
    unsetenv("BERTH_MQTT_CONNECT_TIMEOUT_S");
  }
}

// A successor that takes everything and dies before it says so: the old edge goes on.
TEST(Cluster, AnEdgeGoesOnWhenItsSuccessorFails) {
  TemporaryDirectory d;
  const std::string path = d.path() + "/handover.sock";
  setenv("BERTH_CLUSTER_HANDOVER", path.c_str(), 1);
  Cluster c({.engines = 1, .edges = 1, .edge_flags = {"--shards", "2"}});
  unsetenv("BERTH_CLUSTER_HANDOVER");
  run_with(
      c, std::chrono::seconds(4), std::chrono::milliseconds(1000),
      [&] {
        sockaddr_un a{};
        a.sun_family = AF_UNIX;
        path.copy(a.sun_path, path.size());
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
        const std::string ask("\3\0\0\0H\3\2\1", 8);
        ASSERT_EQ(::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL), 8);
        char some[4096];
        ASSERT_GT(::recv(fd, some, sizeof some, 0), 0);
        ::close(fd);
      },
      false);
  EXPECT_TRUE(c.edges[0]->process().running());
  EXPECT_NE(c.edges[0]->log().find("going on"), std::string::npos);
}

// A successor that no engine takes, because its authority or the name it looks for is wrong, asks
// for nothing: the edge that works goes on, and hands over to one that is right.
TEST(Cluster, ASuccessorThatNoEngineTakesIsGivenNothing) {
  TemporaryDirectory d;
  Certificates certificates(d.path());
  certificates.issue("engine", "berth-engine");
  certificates.issue("edge", "berth-edge");
  std::filesystem::create_directory(d.path() + "/else");
  const Certificates elsewhere(d.path() + "/else");
  const auto configure = [&](const std::string& authority, const std::string& peer) {
    auto flags = tls_flags(d.path(), certificates, "edge", peer);
    std::ofstream(flags.back()) << "cluster:\n  handover: " << d.path() << "/handover.sock"
                                << "\n  ca_file: " << authority
                                << "\n  cert_file: " << certificates.file("edge.crt")
                                << "\n  key_file: " << certificates.file("edge.key")
                                << "\n  peer_name: " << peer << "\n";
    return flags;
  };
  Cluster c({.engines = 1,
             .edges = 1,
             .engine_flags = tls_flags(d.path(), certificates, "engine", "berth-edge"),
             .edge_flags = configure(certificates.file("ca.crt"), "berth-engine")});
  auto device = connected(c.edges[0]->mqtt_port(), {.client_id = "device"});
  const auto is_served = [&] {
    device->send(publish("t", "x", 1, 1));
    return !device->until(4).empty();
  };
  for (const auto& [authority, peer] :
       {std::pair{elsewhere.file("ca.crt"), "berth-engine"},
        std::pair{certificates.file("ca.crt"), "some-other-name"}}) {
    configure(authority, peer);
    try {
      c.replace_edge(0);
      ADD_FAILURE() << authority << " " << peer;
    } catch (const std::runtime_error& e) {
      EXPECT_NE(std::string(e.what()).find("no link to an engine: 127.0.0.1:"), std::string::npos)
          << e.what();
    }
    EXPECT_TRUE(c.edges[0]->process().running());
    EXPECT_TRUE(is_served()) << c.edges[0]->log();
    EXPECT_EQ(c.edges[0]->log().find("handing over"), std::string::npos);
  }
  configure(certificates.file("ca.crt"), "berth-engine");
  c.replace_edge(0);
  EXPECT_NE(c.edges[0]->log().find("took over connections=1"), std::string::npos);
  EXPECT_TRUE(is_served()) << "on the same connection";
}

// The endpoint of an edge that ends is still named for a while: devices that come are let in.
TEST(Cluster, AnEdgeThatEndsLingersAndCtlWaitsForItsDrain) {
  setenv("BERTH_DRAIN_LINGER_S", "3", 1);
  Cluster c({.engines = 2, .edges = 2});
  unsetenv("BERTH_DRAIN_LINGER_S");
  GatewayProcess& edge = *c.edges[0];
  auto before = connected(edge.mqtt_port(), {.client_id = "before"});
  const std::string ctl = "ctl --admin 127.0.0.1:" + std::to_string(edge.admin_port()) + " ";
  const Output early = run(ctl + "drain --wait --stay --timeout 1");
  EXPECT_EQ(early.code, 75) << early.text;
  EXPECT_NE(early.text.find("accepts devices a while yet: 1 connections left"), std::string::npos)
      << early.text;
  int status = 0;
  const std::string why = edge.get("/readyz", &status);
  EXPECT_EQ(status, 503) << "at once";
  EXPECT_NE(why.find("draining"), std::string::npos);
  auto late = connected(edge.mqtt_port(), {.client_id = "late"});
  const Output done = run(ctl + "drain --wait --stay --json");
  EXPECT_EQ(done.code, 0) << done.text;
  EXPECT_NE(done.text.find("\"drained\":true,\"ended\":false,\"left\":0"), std::string::npos)
      << done.text;
  for (const auto* device : {&before, &late}) {
    const auto bye = (*device)->until(14);
    ASSERT_FALSE(bye.empty());
    EXPECT_EQ(bye.back().body.substr(0, 1), "\x8b");
  }
  EXPECT_TRUE(edge.process().running()) << "--stay";
  EXPECT_EQ(edge.terminate(), 0);

  // SIGTERM lingers too, a second one does not.
  GatewayProcess& other = *c.edges[1];
  auto device = connected(other.mqtt_port(), {.client_id = "device"});
  other.process().send(SIGTERM);
  EXPECT_TRUE(eventually(
      [&] { return other.get("/api/v1/status").find("\"lingers\":true") != std::string::npos; }));
  auto more = connected(other.mqtt_port(), {.client_id = "more"});
  const auto began = Clock::now();
  other.process().send(SIGTERM);
  EXPECT_EQ(other.process().wait(), 0);
  EXPECT_LT(Clock::now() - began, std::chrono::milliseconds(2500));
}

TEST(Cluster, CtlWaitsUntilAnEngineHasGivenItsPartitionsAway) {
  Cluster c({.engines = 2, .edges = 1, .partitions = 2});
  auto device = connected(c.edges[0]->mqtt_port(), {.client_id = "device"});
  GatewayProcess* const engine = c.active();
  ASSERT_NE(engine, nullptr);
  const std::string at = std::to_string(engine->admin_port());
  const Output stays = run("ctl --admin 127.0.0.1:" + at + " drain --wait --stay");
  EXPECT_EQ(stays.code, 0) << stays.text;
  EXPECT_NE(stays.text.find("drained after "), std::string::npos) << stays.text;
  EXPECT_EQ(engine->metric("berth_engine_serving"), 0);
  EXPECT_TRUE(engine->process().running());
  GatewayProcess& other = engine == c.engines[0].get() ? *c.engines[1] : *c.engines[0];
  EXPECT_TRUE(eventually([&] { return other.metric("berth_engine_serving") == 2; }));
  device->send(publish("t", "x", 1, 1));
  EXPECT_FALSE(device->until(4).empty());
  EXPECT_EQ(engine->terminate(), 0);
  const Output nobody = run("ctl --admin 127.0.0.1:" + at + " drain --wait");
  EXPECT_EQ(nobody.code, 69) << nobody.text;
  engine->start();
  EXPECT_TRUE(eventually([&] { return engine->get("/readyz") == "ok\n"; }));
  const Output ends =
      run("ctl --admin 127.0.0.1:" + std::to_string(engine->admin_port()) + " drain --wait --json");
  EXPECT_EQ(ends.code, 0) << ends.text;
  EXPECT_EQ(engine->process().wait(), 0);
}

// SIGTERM at an edge: MQTT 5 devices are told where to go (3.14.2), nobody's will is published.
TEST(Cluster, ADrainedEdgeSaysWhereToGo) {
  setenv("BERTH_CLUSTER_SERVER_REFERENCE", "other.example:1883", 1);
  setenv("BERTH_CLUSTER_PARK_ENDPOINT", "other.example:7700", 1);
  setenv("BERTH_PARK_LISTEN", "127.0.0.1:0", 1);
  Cluster c({.engines = 1, .edges = 2});
  unsetenv("BERTH_CLUSTER_SERVER_REFERENCE");
  unsetenv("BERTH_CLUSTER_PARK_ENDPOINT");
  unsetenv("BERTH_PARK_LISTEN");
  auto watch = subscribed(c.edges[1]->mqtt_port(), {.client_id = "watch"}, "w", 1);
  const ConnectOptions d{
      .client_id = "d", .will_topic = "w", .will_payload = "gone", .will_qos = 1};
  auto five = connected(c.edges[0]->mqtt_port(), d);
  auto three = connected(c.edges[0]->mqtt_port(), {.client_id = "three", .version = 4});
  ParkClient park(c.edges[0]->park_port(), {.client_id = "park"});
  ASSERT_TRUE(park.welcome());
  c.edges[0]->process().send(SIGTERM);
  EXPECT_TRUE(park.ended());
  ASSERT_EQ(park.ends.size(), 1u);
  EXPECT_TRUE(park.ends[0].planned);
  EXPECT_EQ(park.ends[0].code, 0x9cu);
  EXPECT_EQ(park.ends[0].endpoint, "other.example:7700");
  EXPECT_EQ(c.edges[0]->process().wait(), 0);
  const auto said = five->until(14);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].body, std::string("\x9c\x15\x1c\x00\x12other.example:1883", 23));
  EXPECT_TRUE(five->closed_within(std::chrono::seconds(20)));
  EXPECT_TRUE(three->closed_within(std::chrono::seconds(20)));
  auto back = connected(c.edges[1]->mqtt_port(), d);
  back->send(publish("w", "from d itself", 1, 1));
  const auto seen = watch->until(3);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().payload(5), "from d itself") << "not its will";
}

// After a mass event devices are let in at a rate; those that wait are not refused.
TEST(Cluster, AnEdgeAdmitsAtARate) {
  setenv("BERTH_MQTT_ACCEPT_PER_S", "100", 1);
  Cluster c({.engines = 1, .edges = 1});
  unsetenv("BERTH_MQTT_ACCEPT_PER_S");
  const auto start = Clock::now();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 150; ++i) {
    clients.push_back(std::make_unique<RawClient>(c.edges[0]->mqtt_port()));
    clients.back()->send(connect({.client_id = "c" + std::to_string(i)}));
  }
  for (auto& client : clients) EXPECT_EQ(client->until(2).size(), 1u);
  EXPECT_GT(Clock::now() - start, std::chrono::milliseconds(1100)) << "25 at once, then 100/s";
  EXPECT_GT(c.edges[0]->metric("berth_accept_pauses_total"), 0);
}

// An edge that ends lets go of no more devices than the others take in.
TEST(Cluster, AnEdgeIsDrainedAtThePaceOfTheOthers) {
  setenv("BERTH_MQTT_ACCEPT_PER_S", "60", 1);
  Cluster c({.engines = 2, .edges = 3});
  unsetenv("BERTH_MQTT_ACCEPT_PER_S");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 240; ++i) {
    clients.push_back(std::make_unique<RawClient>(c.edges[0]->mqtt_port()));
    clients.back()->send(connect({.client_id = "c" + std::to_string(i)}));
  }
  for (auto& client : clients) EXPECT_EQ(client->until(2).size(), 1u);
  const auto start = Clock::now();
  c.edges[0]->process().send(SIGTERM);
  for (auto& client : clients) EXPECT_TRUE(client->closed_within(std::chrono::seconds(20)));
  EXPECT_GT(Clock::now() - start, std::chrono::milliseconds(1600)) << "two others, 60/s each";
}

// While it ended, the one before could let in nobody; now there is nobody to wait for.
TEST(Cluster, TheLastEdgeIsDrainedAtItsOwnPace) {
  Cluster c({.engines = 1, .edges = 2});
  const auto come = [&](std::size_t edge, int devices) {
    std::vector<std::unique_ptr<RawClient>> all;
    for (int i = 0; i < devices; ++i) {
      all.push_back(connected(c.edges[edge]->mqtt_port(),
                              {.client_id = "c" + std::to_string(edge) + "-" + std::to_string(i)}));
    }
    return all;
  };
  const auto before = come(1, 800);  // for some heartbeats
  EXPECT_EQ(c.edges[1]->terminate(), 0);
  const auto clients = come(0, 300);
  c.edges[0]->process().send(SIGTERM);
  const auto end = Clock::now() + std::chrono::seconds(10);  // at 20/s it would be 15
  for (const auto& client : clients) {
    EXPECT_TRUE(client->closed_within(
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now())));
  }
}

}  // namespace
}  // namespace berth::test
