// A full disk (a small tmpfs of the test's own): acks wait, QoS 0 flows, unready, and it recovers
// by itself. Needs root for the mount; skipped without.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

class SmallDisk {
 public:
  SmallDisk() {
    std::string name = std::filesystem::temp_directory_path() / "berth-disk-XXXXXX";
    path = mkdtemp(name.data());
    mounted = mount("tmpfs", path.c_str(), "tmpfs", 0, "size=128m") == 0;
  }
  ~SmallDisk() {
    if (mounted) umount2(path.c_str(), MNT_DETACH);
    std::filesystem::remove_all(path);
  }
  void fill() {
    std::ofstream out(path + "/filler", std::ios::binary);
    const std::string block(64 * 1024, 'x');
    while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void leave(std::uintmax_t bytes) {
    const std::uintmax_t used = std::filesystem::file_size(path + "/filler");
    std::filesystem::resize_file(path + "/filler", used > bytes ? used - bytes : 0);
  }
  void make_room() { std::filesystem::remove(path + "/filler"); }
  std::string path;
  bool mounted = false;
};

TEST(DiskFull, AcksWaitQos0FlowsAndItRecovers) {
  for (const char* shape : {"", "--single-process"}) {
    SmallDisk disk;
    if (!disk.mounted) GTEST_SKIP() << "cannot mount a tmpfs";
    std::vector<std::string> flags{"--anonymous"};
    if (*shape != 0) flags.emplace_back(shape);
    GatewayProcess g(flags, disk.path);
    RawClient keeper(g.mqtt_port());
    keeper.send(connect({.client_id = "keeper", .clean = false, .properties = expiry(600)}) +
                subscribe(1, "k", 1));
    ASSERT_FALSE(keeper.until(9).empty());
    RawClient live(g.mqtt_port());
    live.send(connect({.client_id = "live"}) + subscribe(1, "q0", 0));
    ASSERT_FALSE(live.until(9).empty());
    RawClient pub(g.mqtt_port());
    RawClient other(g.mqtt_port());
    pub.send(connect({.client_id = "pub"}));
    other.send(connect({.client_id = "other"}));
    pub.until(2);
    other.until(2);

    disk.fill();
    const std::string body(30'000, 'b');
    unsigned id = 0;
    // Until one is not acknowledged any more, and the gateway says why.
    int status = 0;
    const auto stuck = [&] {
      g.get("/readyz", &status);
      return status == 503;
    };
    const auto acknowledged = [&] {
      const auto acks = pub.until(4, std::chrono::seconds(2));
      return !acks.empty() && acks.back().type == 4;
    };
    bool answered = true;
    while (answered && id < 3000) {
      pub.send(publish("k", body, 1, ++id));
      EXPECT_TRUE(eventually([&] { return (answered = acknowledged()) || stuck(); },
                             std::chrono::minutes(1)));
    }
    ASSERT_FALSE(answered) << "the disk did not fill";
    other.send(publish("q0", "flows"));
    const auto got = live.until(3);
    ASSERT_FALSE(got.empty()) << g.log() << g.get("/api/v1/status");
    EXPECT_EQ(got.back().payload(5), "flows");
    EXPECT_TRUE(eventually(stuck));
    EXPECT_NE(g.get("/readyz").find(disk.path + "/data/store has "), std::string::npos)
        << g.get("/readyz");
    EXPECT_NE(g.get("/readyz").find(" bytes free and needs 33554432"), std::string::npos);
    EXPECT_TRUE(eventually([&] { return g.metric("berth_store_commit_failures_total") >= 1; }));
    disk.make_room();
    const auto acks = pub.until(4, std::chrono::seconds(30));
    ASSERT_FALSE(acks.empty());
    EXPECT_EQ(acks.back().id(), id);
    EXPECT_TRUE(eventually([&] {
      g.get("/readyz", &status);
      return status == 200;
    }));
    EXPECT_FALSE(keeper.gone() || live.gone() || pub.gone());
  }
}

// What waits for the disk was not acknowledged: an end need not wait with it.
TEST(DiskFull, SigtermDoesNotWaitForTheDisk) {
  for (const char* shape : {"", "--single-process"}) {
    SmallDisk disk;
    if (!disk.mounted) GTEST_SKIP() << "cannot mount a tmpfs";
    std::vector<std::string> flags{"--anonymous"};
    if (*shape != 0) flags.emplace_back(shape);
    GatewayProcess g(flags, disk.path);
    RawClient keeper(g.mqtt_port());
    keeper.send(connect({.client_id = "keeper", .clean = false, .properties = expiry(600)}) +
                subscribe(1, "k", 1));
    ASSERT_FALSE(keeper.until(9).empty());
    RawClient pub(g.mqtt_port());
    pub.send(connect({.client_id = "pub"}));
    pub.until(2);
    disk.fill();
    const std::string body(30'000, 'b');
    for (unsigned id = 1; id <= 100; ++id) pub.send(publish("k", body, 1, id));
    ASSERT_TRUE(eventually([&] {
      return g.get("/readyz").find("bytes free") != std::string::npos;
    })) << g.log();
    const auto began = Clock::now();
    EXPECT_EQ(g.terminate(), 0);
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(15)) << "engine.drain_seconds is 20";
    EXPECT_NE(g.log().find("ending without the store"), std::string::npos) << g.log();
  }
}

// RocksDB's log of its own would fail an assertion at the end (rocks_store.cc, RocksLog); and an
// engine that is replaced while its store takes nothing is not taken for one that is stuck.
TEST(DiskFull, ARestartAndAnEndAfterAFullDiskAreClean) {
  SmallDisk disk;
  if (!disk.mounted) GTEST_SKIP() << "cannot mount a tmpfs";
  // Patient: on a loaded machine no heartbeat is late enough.
  std::ofstream(disk.path + "/berth.yaml") << "engine: {heartbeats_missed: 40}\n";
  GatewayProcess g({"--anonymous", "--config", disk.path + "/berth.yaml"}, disk.path);
  RawClient keeper(g.mqtt_port());
  keeper.send(connect({.client_id = "keeper", .clean = false, .properties = expiry(600)}) +
              subscribe(1, "k", 1));
  ASSERT_FALSE(keeper.until(9).empty());
  const auto ready = [&g](int wanted) {
    return eventually(
        [&g, wanted] {
          int status = 0;
          g.get("/readyz", &status);
          return status == wanted;
        },
        std::chrono::seconds(60));
  };
  disk.fill();
  RawClient pub(g.mqtt_port());
  pub.send(connect({.client_id = "pub"}) + publish("k", std::string(30'000, 'b'), 1, 1));
  ASSERT_TRUE(ready(503)) << g.log();
  disk.leave(20u << 20);  // enough to open the database, too little to write
  const pid_t before = g.engine_pid();
  const std::string said = g.post("/api/v1/engine/restart");
  EXPECT_NE(said.find("engine replaced"), std::string::npos) << said << g.log();
  EXPECT_NE(g.engine_pid(), before);
  EXPECT_EQ(g.log().find("missed heartbeats"), std::string::npos) << g.log();
  disk.fill();
  ASSERT_TRUE(ready(503)) << g.log();
  disk.make_room();
  const auto acks = pub.until(4, std::chrono::seconds(60));
  ASSERT_FALSE(acks.empty()) << g.log();
  ASSERT_TRUE(ready(200)) << g.log();
  EXPECT_EQ(g.terminate(), 0);
  EXPECT_EQ(g.log().find("ssert"), std::string::npos) << g.log();
  EXPECT_EQ(g.log().find("ended badly"), std::string::npos) << g.log();
}

// Without room to begin with it waits, says so without dying of it, and begins when there is room.
TEST(DiskFull, AStartWaitsForRoom) {
  std::string directory = std::filesystem::temp_directory_path() / "berth-full-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  for (const char* shape : {"--log-level=info", "--single-process"}) {
    SmallDisk disk;
    if (!disk.mounted) GTEST_SKIP() << "cannot mount a tmpfs";
    disk.fill();
    Process g({berth_binary(), "serve", shape, "--anonymous", "--mqtt", "127.0.0.1:0", "--admin",
               "127.0.0.1:0", "--data", disk.path + "/data"},
              directory + "/log");
    ASSERT_TRUE(eventually([&] {
      const std::string log = g.log();
      const std::size_t first = log.find("the disk is full");
      return first != std::string::npos && log.find("the disk is full", first + 1) != log.npos;
    })) << g.log();
    EXPECT_TRUE(g.running());
    EXPECT_EQ(g.log().find("ssert"), std::string::npos) << g.log();
    disk.make_room();
    EXPECT_TRUE(eventually([&] { return g.log().find(" ready mqtt=") != std::string::npos; },
                           std::chrono::seconds(60)))
        << g.log();
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace berth::test
