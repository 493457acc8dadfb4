// The supervisor when nothing goes as planned: engines that can't be started, signals to the whole
// group, descriptors, exit texts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/gateway_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/redis_server.h"

namespace berth::test {
namespace {

namespace fs = std::filesystem;

class Binary {  // a copy of the gateway that can be taken away
 public:
  Binary() {
    std::string name = fs::temp_directory_path() / "berth-binary-XXXXXX";
    directory = mkdtemp(name.data());
    path = directory + "/berth";
    std::error_code ec;
    fs::create_hard_link(berth_binary(), path, ec);
    if (ec) fs::copy_file(berth_binary(), path);
    setenv("BERTH_BINARY", path.c_str(), 1);
  }
  ~Binary() {
    unsetenv("BERTH_BINARY");
    fs::remove_all(directory);
  }
  std::string directory, path;
};

// No device notices that an engine can't be started for a while.
TEST(Supervisor, OutlivesAMissingBinary) {
  Binary binary;
  GatewayProcess g({"--anonymous"});
  auto device = connected(g.mqtt_port(), {.client_id = "d"});
  ASSERT_TRUE(eventually([&] { return g.metric("berth_engine_starts_total") >= 1; }));
  fs::rename(binary.path, binary.path + ".away");
  for (int i = 0; i < 2; ++i) g.signal_engine(SIGKILL);  // the standby takes over from the first
  ASSERT_TRUE(eventually([&] { return g.metric("berth_engine_start_failures_total") >= 1; }))
      << g.log();
  device->send(publish("t", "x", 1, 7) + pingreq());
  EXPECT_FALSE(device->until(13).empty()) << "the edge lives";
  fs::rename(binary.path + ".away", binary.path);
  const auto ack = device->until(4);
  ASSERT_FALSE(ack.empty()) << g.log();
  EXPECT_EQ(ack.back().id(), 7u);
}

TEST(Supervisor, OutlivesWantOfDescriptors) {
  GatewayProcess g({"--anonymous"});
  auto device = connected(g.mqtt_port(), {.client_id = "d"});
  ASSERT_TRUE(eventually([&] {
    return g.log().find("standby") != std::string::npos || g.metric("berth_engine_up") == 1;
  }));
  rlimit before{};
  ASSERT_EQ(prlimit(g.process().pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(prlimit(g.process().pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  // The admin port accepts nobody either: engines are found by their parent.
  const auto children = [&] {
    std::ifstream in("/proc/" + std::to_string(g.process().pid()) + "/task/" +
                     std::to_string(g.process().pid()) + "/children");
    std::vector<pid_t> all;
    for (pid_t p; in >> p;) all.push_back(p);
    return all;
  };
  for (const pid_t p : children()) send_signal(p, SIGKILL);
  ASSERT_TRUE(eventually([&] { return g.log().find("engine start failed") != std::string::npos; }))
      << g.log();
  ASSERT_EQ(prlimit(g.process().pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  device->send(publish("t", "x", 1, 9));
  const auto ack = device->until(4);
  ASSERT_FALSE(ack.empty()) << g.log();
  EXPECT_EQ(ack.back().id(), 9u);
}

// SIGTERM to the whole process group, as systemd and Ctrl-C send it: devices are told first.
TEST(Supervisor, ASignalToTheGroupIsForTheEdge) {
  for (const int number : {SIGTERM, SIGINT}) {
    GatewayProcess g({"--anonymous"});
    auto device = connected(g.mqtt_port(), {.client_id = "d"});
    pid_t engine = -1;
    ASSERT_TRUE(eventually([&] { return (engine = g.engine_pid()) > 0; }));
    for (const int ignored : {SIGUSR1, SIGUSR2}) {
      send_signal(engine, ignored);
      g.process().send(ignored);
    }
    send_signal(engine, number);
    g.process().send(number);
    const auto bye = device->until(14);
    ASSERT_FALSE(bye.empty());
    EXPECT_EQ(bye.back().type, 14u);
    EXPECT_EQ(bye.back().body[0], '\x8b');
    EXPECT_EQ(g.process().wait(), 0);
    EXPECT_EQ(g.log().find("standby ended"), std::string::npos) << g.log();
    EXPECT_EQ(g.log().find("engine died"), std::string::npos) << g.log();
  }
}

std::set<std::string> sockets_of(pid_t pid) {
  std::set<std::string> all;
  std::error_code ec;
  for (const auto& f : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ec)) {
    const std::string to = fs::read_symlink(f.path(), ec).string();
    if (to.starts_with("socket:")) all.insert(to);
  }
  return all;
}

TEST(Supervisor, AnEngineHasNoDescriptorOfTheEdges) {
  GatewayProcess g({"--anonymous"});
  RawClient idle(g.admin_port());  // a monitor's connection
  RawClient device(g.mqtt_port());
  device.send(connect({.client_id = "d"}));
  device.until(2);
  g.signal_engine(SIGKILL);
  pid_t engine = -1;
  ASSERT_TRUE(eventually([&] { return (engine = g.engine_pid()) > 0; }));
  const auto of_edge = sockets_of(g.process().pid());
  const auto of_engine = sockets_of(engine);
  EXPECT_FALSE(of_engine.empty()) << "its links";
  for (const std::string& s : of_engine) EXPECT_FALSE(of_edge.contains(s)) << s;
}

TEST(Supervisor, SaysWhatAnEngineDiedOfAndWhoHasTheStore) {
  GatewayProcess g({"--anonymous"});
  g.signal_engine(SIGKILL);
  EXPECT_TRUE(eventually([&] { return g.log().find("by=\"SIGKILL\"") != std::string::npos; }));
  Process second({berth_binary(), "serve", "--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                  "--data", g.directory() + "/data"},
                 g.directory() + "/log.second");
  EXPECT_EQ(second.wait(), 69);
  EXPECT_NE(second.log().find("another gateway has this data"), std::string::npos) << second.log();
}

// Engines that end as soon as they have begun are no service: readiness and engine_absent_max run
// on.
TEST(Supervisor, ACrashLoopIsNotReadiness) {
  std::string name = fs::temp_directory_path() / "berth-loop-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  {
    std::ofstream(directory + "/acl") << "topic readwrite #\n";
    std::ofstream(directory + "/berth.yaml")
        << "auth: {anonymous: always, acl_file: " << directory << "/acl}\n"
        << "engine: {absent_max_s: 12}\n";
    GatewayProcess g({"--config", directory + "/berth.yaml"});
    auto device = connected(g.mqtt_port(), {.client_id = "d"});
    // The store's directory becomes a file that no engine can open: each start fails.
    fs::rename(g.directory() + "/data", g.directory() + "/moved");
    std::ofstream(g.directory() + "/data") << "not a directory";
    g.signal_engine(SIGKILL);
    EXPECT_TRUE(eventually(
        [&] {
          int status = 0;
          g.get("/readyz", &status);
          return status == 503;
        },
        std::chrono::seconds(30)))
        << g.log();
    EXPECT_TRUE(device->closed_within(std::chrono::seconds(40))) << "absent for too long";
    EXPECT_GE(g.metric("berth_connection_closed_total{reason=\"engine_absent\"}"), 1);
  }
  fs::remove_all(directory);
}

// A successor proves that it can serve before the present engine is asked to end; where that one is
// dead already the last good copy of a bad file is used.
TEST(Supervisor, I14_ABadFileEndsNoEngineThatServes) {
  std::string name = fs::temp_directory_path() / "berth-proof-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  {
    // mosquitto_passwd -b FILE gate secret, version 2.0.11
    const std::string good =
        "gate:$7$101$arQvV6TuUEq4Ebq2$SsMPy5lvEp+dtsj/eyXNvFAE8cwX0wb6JPG2kf+8V5tfax"
        "vQ0Pl9Lfa9O01Von3CgyjmhA7IvNbnbJZ1wp0qPQ==\n";
    const auto write = [&](const std::string& text) {  // whole, or not at all: it is watched
      std::ofstream(directory + "/users.new") << text;
      ::chmod((directory + "/users.new").c_str(), 0600);
      fs::rename(directory + "/users.new", directory + "/users");
    };
    write(good);
    std::ofstream(directory + "/berth.yaml")
        << "auth: {password_file: " << directory << "/users}\n";
    GatewayProcess g({"--config", directory + "/berth.yaml"});
    ConnectOptions login{.client_id = "d"};
    login.user = "gate";
    login.password = "secret";
    auto device = connected(g.mqtt_port(), login);
    pid_t before = -1;
    ASSERT_TRUE(eventually([&] { return (before = g.engine_pid()) > 0; }));
    write("nocolon\n");
    EXPECT_NE(g.post("/api/v1/engine/restart").find("expected user:hash"), std::string::npos);
    EXPECT_EQ(g.engine_pid(), before) << "it goes on";
    g.signal_engine(SIGKILL);
    ASSERT_TRUE(eventually([&] {
      const pid_t now = g.engine_pid();
      return now > 0 && now != before;
    })) << g.log();
    device->send(publish("t", "x", 1, 1));
    EXPECT_FALSE(device->until(4).empty());
    login.client_id = "again";
    auto again = connected(g.mqtt_port(), login);
    EXPECT_FALSE(again->gone()) << "with the copy";
    EXPECT_NE(g.log().find("last good copy"), std::string::npos) << g.log();
    int status = 0;
    EXPECT_NE(g.get("/readyz", &status).find("degraded: password_file: "), std::string::npos);
    EXPECT_EQ(status, 200) << "it may be the only one";
    EXPECT_EQ(g.metric("berth_degraded{part=\"password_file\"}"), 1);
    EXPECT_EQ(g.metric("berth_degraded{part=\"acl_file\"}"), 0);
    write(good);
    EXPECT_NE(g.post("/api/v1/engine/restart").find("engine replaced"), std::string::npos);
    EXPECT_TRUE(
        eventually([&] { return g.metric("berth_degraded{part=\"password_file\"}") == 0; }));
    EXPECT_EQ(g.get("/readyz"), "ok\n");
  }
  fs::remove_all(directory);
}

// A successor that can't reach the store is not given the place of one that has it.
TEST(Supervisor, I14_AStoreOutOfReachEndsNoEngineThatServes) {
  RedisServer redis;
  GatewayProcess g({"--anonymous", "--store", redis.url()});
  auto device = connected(g.mqtt_port(), {.client_id = "d"});
  pid_t before = -1;
  ASSERT_TRUE(eventually([&] { return (before = g.engine_pid()) > 0; }));
  redis.call({"CONFIG", "SET", "requirepass", "secret"});  // connections that stand stay
  EXPECT_NE(g.post("/api/v1/engine/restart").find("the store can't be reached"), std::string::npos);
  EXPECT_EQ(g.engine_pid(), before) << "it goes on";
  device->send(publish("t", "x", 1, 1));
  EXPECT_FALSE(device->until(4).empty());
}

TEST(Supervisor, I14_ADirectoryThatCanNotBeWrittenEndsNoEngineThatServes) {
  GatewayProcess g({"--anonymous"});
  const std::string store = g.directory() + "/data/store";
  pid_t before = -1;
  ASSERT_TRUE(eventually([&] { return (before = g.engine_pid()) > 0; }));
  fs::rename(store, store + ".away");  // as a volume that is gone: tests may run as root
  const std::string said = g.post("/api/v1/engine/restart");
  EXPECT_NE(said.find("store.directory: "), std::string::npos) << said;
  EXPECT_EQ(g.engine_pid(), before) << "it goes on";
  fs::rename(store + ".away", store);
  EXPECT_NE(g.post("/api/v1/engine/restart").find("engine replaced"), std::string::npos);
}

// Nobody reads the log: the process ends all the same.
TEST(Supervisor, EndsThoughItsLogIsNotRead) {
  std::string name = fs::temp_directory_path() / "berth-pipe-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  std::string filler(4096, 'x');
  while (::write(ends[1], filler.data(), filler.size()) > 0) {
  }
  while (::write(ends[1], filler.data(), 1) > 0) {
  }
  const int flags = fcntl(ends[1], F_GETFL);
  fcntl(ends[1], F_SETFL, flags & ~O_NONBLOCK);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    const std::string binary = berth_binary();
    execl(binary.c_str(), "berth", "serve", "--anonymous", "--mqtt", "127.0.0.1:0", "--admin",
          "127.0.0.1:0", "--data", (directory + "/data").c_str(), nullptr);
    _exit(127);
  }
  ASSERT_GT(pid, 0);
  ASSERT_TRUE(eventually([&] {
    std::error_code ec;
    return fs::exists(directory + "/data/store/CURRENT", ec);
  }));
  // Children of it: an engine, and its standby once it serves.
  const std::string children =
      "/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children";
  ASSERT_TRUE(eventually([&] {
    std::ifstream in(children);
    int n = 0;
    for (pid_t p; in >> p;) ++n;
    return n == 2;
  }));
  const auto began = Clock::now();
  send_signal(pid, SIGTERM);
  int status = 0;
  EXPECT_TRUE(
      eventually([&] { return waitpid(pid, &status, WNOHANG) == pid; }, std::chrono::seconds(20)));
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(15));
  ::close(ends[0]);
  ::close(ends[1]);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace berth::test
