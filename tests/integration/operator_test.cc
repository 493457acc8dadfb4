// What an operator does with the files and the documents alone: checks a draft beside a running
// gateway, upgrades by a symlink, makes a mistake in a file, has no Redis yet.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/support/certificates.h"
#include "tests/support/command_line.h"

namespace berth::test {
namespace {

namespace fs = std::filesystem;

class Operator : public CommandLine {
 protected:
  // Everything in `directory`: mode, time of the last change, and what files hold.
  static std::map<std::string, std::string> contents(const std::string& directory) {
    std::map<std::string, std::string> all;
    if (!fs::exists(directory)) return all;
    for (const auto& e : fs::recursive_directory_iterator(directory)) {
      struct stat s {};
      ::lstat(e.path().c_str(), &s);
      std::string& one = all[e.path()];
      one = std::to_string(s.st_mode) + " " + std::to_string(s.st_ino) + " " +
            std::to_string(s.st_mtim.tv_sec) + "." + std::to_string(s.st_mtim.tv_nsec) + " ";
      if (!e.is_regular_file()) continue;
      std::ifstream in(e.path(), std::ios::binary);
      one.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  }
};

constexpr const char* kUsers =
    "gate:$7$101$arQvV6TuUEq4Ebq2$SsMPy5lvEp+dtsj/eyXNvFAE8cwX0wb6JPG2kf+8V5tfax"
    "vQ0Pl9Lfa9O01Von3CgyjmhA7IvNbnbJZ1wp0qPQ==\n";

TEST_F(Operator, CheckConfigWritesNothing) {
  const std::string users = file("users", kUsers);
  const std::string rules = file("rules", "topic readwrite draft/#\n");
  const std::string registry = file("registry.yaml", "tenants: [{name: a}]\n");
  const std::string data = directory_ + "/data";
  const std::string config =
      file("berth.yaml", "auth: {password_file: " + users + ", acl_file: " + rules +
                             "}\nregistry: {source: file, file: " + registry +
                             "}\nstore: {directory: " + data + "}\n");
  const Output fresh = run("check-config --config " + config);
  EXPECT_EQ(fresh.code, 0) << fresh.text;
  EXPECT_FALSE(fs::exists(data)) << "a directory of the operator would keep the service out";
  fs::create_directories(data + "/last-good");
  file("data/last-good/acl-file", "what is in force");
  file("data/admin.token", "token");
  const auto before = contents(data);
  ASSERT_FALSE(before.empty());
  const Output beside = run("check-config --config " + config);
  EXPECT_EQ(beside.code, 0) << beside.text;
  EXPECT_EQ(contents(data), before);
}

TEST_F(Operator, TwoDevicesWithOneCredentialAreNamed) {
  const std::string site =
      "tenants:\n"
      "  - name: acme\n"
      "    sites: [{name: north}]\n"
      "    devices:\n"
      "      - {name: cam-1, site: north, credentials: [{auth_id: cam, password: secret}]}\n"
      "      - {name: cam-2, site: north, credentials: [{auth_id: cam, password: secret}]}\n";
  const std::string registry = file("registry.yaml", site);
  const std::string config =
      file("berth.yaml", "registry: {source: file, file: " + registry + "}\n");
  for (const std::string command :
       {"check-config", "serve --mqtt 127.0.0.1:0 --admin 127.0.0.1:0"}) {
    const Output o =
        run(std::string(command) + " --config " + config + " --data " + directory_ + "/data");
    EXPECT_EQ(o.code, 78) << o.text;
    EXPECT_NE(o.text.find(registry + ":6: 'acme/cam-2' and 'acme/cam-1' (line 5) have the "
                                     "same credential 'cam@acme'"),
              std::string::npos)
        << o.text;
  }
}

TEST_F(Operator, APasswordFileWithoutUsersOrWithOneTwiceIsBad) {
  const std::string config =
      file("berth.yaml", "auth: {password_file: " + directory_ + "/users}\n");
  file("users", "# nobody yet\n");
  Output o = run("check-config --config " + config);
  EXPECT_EQ(o.code, 78) << o.text;
  EXPECT_NE(o.text.find("/users: names nobody"), std::string::npos) << o.text;
  file("users", std::string(kUsers) + kUsers);
  o = run("check-config --config " + config);
  EXPECT_EQ(o.code, 78) << o.text;
  EXPECT_NE(o.text.find("/users:2: user 'gate' stands in a line above already"), std::string::npos)
      << o.text;
}

// What would fail at the start fails in the check, in the role that it is for.
TEST_F(Operator, CheckConfigKnowsTheRoleAndTheHost) {
  const auto refused = [](const std::string& line, const std::string& why) {
    const Output o = run_line(line);
    EXPECT_EQ(o.code, 78) << line << "\n" << o.text;
    EXPECT_NE(o.text.find(why), std::string::npos) << line << "\n" << o.text;
  };
  const std::string check = berth_binary() + " check-config --data " + directory_ + "/data ";
  const std::string wide =
      file("wide.yaml", "cluster: {listen: '0.0.0.0:0', engines: 'engine.example:9183'}\n");
  EXPECT_EQ(run_line(check + "--config " + wide).code, 0);
  refused(check + "--role engine --config " + wide, "cluster.listen 0.0.0.0:0 is beyond loopback");
  refused(check + "--role edge --config " + wide, "cluster.engines engine.example");
  refused(check + "--role engine", "store.url (--store) is not set");
  refused(check + "--role edge", "cluster.engines (--engines) is not set");
  refused(check + "--role engine --partitions 2",
          "cluster.partitions above 1 needs cluster.engines");
  EXPECT_EQ(run_line(check + "--role edge --engines 127.0.0.1:9183").code, 0);
  refused(check + "--mqtt 203.0.113.7:1883", "mqtt.listen: listen on 203.0.113.7");
  refused(check + "--admin 203.0.113.7:1883", "admin.listen: listen on 203.0.113.7");
  const std::string plain = file("plain", "no directory");
  refused(berth_binary() + " check-config --data " + plain + "/data", plain + ": not a directory");
  // One command: the limit is of this shell.
  refused("ulimit -n 110; " + check, "the limit of open files is 110, at least ");
}

// A working gateway with the same places is no obstacle.
TEST_F(Operator, CheckConfigWorksBesideAGateway) {
  GatewayProcess g({"--anonymous"});
  const Output o = run("check-config --data " + g.directory() +
                       "/data --mqtt 127.0.0.1:" + std::to_string(g.mqtt_port()) +
                       " --admin 127.0.0.1:" + std::to_string(g.admin_port()));
  EXPECT_EQ(o.code, 0) << o.text;
}

TEST_F(Operator, CheckConfigWarnsOfWhatMayBeOtherwiseAtTheStart) {
  const std::string check = "check-config --data " + directory_ + "/data ";
  const auto warned = [](const std::string& arguments, const std::string& why) {
    const Output o = run(arguments);
    EXPECT_EQ(o.code, 0) << o.text;
    EXPECT_NE(o.text.find("berth: warning: " + why), std::string::npos) << o.text;
  };
  warned(check + "--store redis://127.0.0.1:1",
         "the store can't be reached: redis://127.0.0.1:1: Connection refused");
  const std::string empty = file("empty.yaml", "");
  warned(check + "--config " +
             file("registry.yaml", "registry: {source: file, file: " + empty + "}\n"),
         "registry.file " + empty + " names no tenant");
  const std::string users = file("users", kUsers);
  ASSERT_EQ(::chmod(users.c_str(), 0644), 0);
  warned(check + "--config " + file("open.yaml", "auth: {password_file: " + users + "}\n"),
         "secret file is open to others: ");
}

// Peers with the same ca_file would refuse it.
TEST_F(Operator, CheckConfigRefusesALinkCertificateOfAnotherAuthority) {
  fs::create_directories(directory_ + "/other");
  Certificates ours(directory_);
  Certificates theirs(directory_ + "/other");
  ours.issue("link", "berth-engine");
  const auto with = [&](const std::string& authority) {
    return run("check-config --role engine --store redis://127.0.0.1:1 --config " +
               file("tls.yaml", "cluster: {peer_name: berth-edge, ca_file: " + authority +
                                    ", cert_file: " + directory_ +
                                    "/link.crt, key_file: " + directory_ + "/link.key}\n"));
  };
  const Output good = with(directory_ + "/ca.crt");
  EXPECT_EQ(good.code, 0) << good.text;
  const Output bad = with(directory_ + "/other/ca.crt");
  EXPECT_EQ(bad.code, 78) << bad.text;
  EXPECT_NE(bad.text.find("is not of an authority in cluster.ca_file"), std::string::npos)
      << bad.text;
}

// Whoever collects the log as JSON finds a bad configuration there.
TEST_F(Operator, ABadConfigurationIsLoggedInTheFormatOfTheLog) {
  const std::string places =
      " --admin 127.0.0.1:0 --mqtt 127.0.0.1:0 --data " + directory_ + "/data --config ";
  const std::string bad = file("bad.yaml", "nonsense: 1\n");
  const std::string says_ecs = file("ecs.yaml", "nonsense: 1\nlog: {format: ecs}\n");
  for (const std::string& arguments :
       {"serve --log-format ecs" + places + bad, "serve" + places + says_ecs}) {
    const Output early = run(arguments);
    EXPECT_EQ(early.code, 78) << early.text;
    EXPECT_EQ(early.text.find("{\"@timestamp\""), 0u) << early.text;
    EXPECT_NE(early.text.find("\"event.action\":\"bad-configuration\""), std::string::npos)
        << early.text;
    EXPECT_EQ(early.text.find("berth: configuration"), std::string::npos) << early.text;
  }
  // Found when the log has begun.
  const std::string missing = file("missing.yaml", "auth: {password_file: /nowhere}\n");
  const Output late = run("serve --log-format ecs --single-process" + places + missing);
  EXPECT_EQ(late.code, 78) << late.text;
  EXPECT_EQ(late.text.find("berth: configuration"), std::string::npos) << late.text;
  EXPECT_NE(late.text.find("\"event.action\":\"bad-configuration\""), std::string::npos)
      << late.text;
  EXPECT_NE(late.text.find("/nowhere"), std::string::npos) << late.text;
  const Output text = run("serve" + places + bad);
  EXPECT_EQ(text.code, 78) << text.text;
  EXPECT_EQ(text.text.find("berth: configuration: "), 0u) << text.text;
}

// current -> v1 becomes current -> v2: restart-engine starts v2, and says so.
TEST_F(Operator, AnUpgradeFollowsTheSymlinkAndIsConfirmed) {
  for (const char* version : {"v1", "v2"}) {
    fs::create_directories(directory_ + "/" + version);
    fs::copy_file(berth_binary(), directory_ + "/" + version + "/berth");
  }
  const std::string current = directory_ + "/current";
  fs::create_directory_symlink("v1", current);
  ::setenv("BERTH_BINARY", (current + "/berth").c_str(), 1);
  GatewayProcess g({"--anonymous"});
  ::unsetenv("BERTH_BINARY");
  const auto runs = [&g] {
    const pid_t pid = g.engine_pid();
    return pid <= 0 ? std::string()
                    : fs::read_symlink("/proc/" + std::to_string(pid) + "/exe").string();
  };
  ASSERT_TRUE(eventually([&] { return runs() == directory_ + "/v1/berth"; })) << runs();
  fs::create_directory_symlink("v2", current + ".new");
  fs::rename(current + ".new", current);
  const std::string said = g.post("/api/v1/engine/restart");
  EXPECT_NE(said.find("engine replaced"), std::string::npos) << said;
  EXPECT_NE(said.find("before: 0."), std::string::npos) << said;
  EXPECT_NE(said.find("now:    0."), std::string::npos) << said;
  EXPECT_NE(said.find("from:   " + current + "/berth"), std::string::npos) << said;
  EXPECT_EQ(runs(), directory_ + "/v2/berth");
  const std::string status = g.get("/api/v1/status");
  EXPECT_NE(status.find("\"state\":\"serving\",\"version\":\"0."), std::string::npos) << status;
  EXPECT_NE(g.get("/metrics").find("berth_engine_build_info{build=\"0."), std::string::npos);
  EXPECT_NE(g.log().find("engine begins version=0."), std::string::npos) << g.log();
  fs::remove(current);  // in the middle of an installation an engine dies all the same
  const pid_t before = g.engine_pid();
  g.signal_engine(SIGKILL);
  EXPECT_TRUE(eventually([&] { return g.engine_pid() > 0 && g.engine_pid() != before; }))
      << g.log();
  EXPECT_EQ(g.terminate(), 0);
  EXPECT_NE(g.log().find("stopped code=0"), std::string::npos) << g.log();
}

// The log says what has changed, and of nothing else that it was read.
TEST_F(Operator, ANewPasswordIsNoNewAccessFile) {
  const std::string users = file("users", kUsers);
  for (const char* shape : {"", "--single-process"}) {
    file("users", kUsers);
    const std::string rules = file("rules", "topic readwrite a/#\n");
    std::vector<std::string> flags{
        "--config",
        file("berth.yaml", "auth: {password_file: " + users + ", acl_file: " + rules + "}\n")};
    if (*shape != 0) flags.emplace_back(shape);
    GatewayProcess g(flags);
    file("users.new", std::string(kUsers) + "barrier" + (kUsers + 4));
    fs::rename(directory_ + "/users.new", users);
    EXPECT_TRUE(eventually(
        [&] {
          return g.log().find("password_file read again users=2 added=1 removed=0 changed=0") !=
                 std::string::npos;
        },
        std::chrono::seconds(60)))
        << g.log();
    EXPECT_EQ(g.log().find("acl_file"), std::string::npos) << g.log();
    file("rules.new", "topic readwrite b/#\n");
    fs::rename(directory_ + "/rules.new", rules);
    EXPECT_TRUE(eventually([&] { return g.log().find("acl_file read again") != std::string::npos; },
                           std::chrono::seconds(60)))
        << g.log();
  }
}

// The gap counts from the last sign of life, not from the kill that ended the silence.
TEST_F(Operator, TheGapOfAStoppedEngineIsWhatDevicesSaw) {
  GatewayProcess g({"--anonymous"});
  const pid_t before = g.engine_pid();
  g.signal_engine(SIGSTOP);
  EXPECT_TRUE(eventually([&] { return g.metric("berth_engine_last_gap_seconds") > 0.5; },
                         std::chrono::seconds(60)))
      << g.metric("berth_engine_last_gap_seconds") << g.log();
  EXPECT_NE(g.engine_pid(), before);
}

// What every process of the host may ask for over TCP, every user of the host gets from berth ctl.
TEST_F(Operator, AnotherUserOfTheHostIsToldWhoTheGatewayIs) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  ASSERT_EQ(::chmod(directory_.c_str(), 0711), 0);
  fs::copy_file(berth_binary(), directory_ + "/berth");
  GatewayProcess g({"--anonymous"});
  const std::string ctl = "setpriv --reuid=65534 --regid=65534 --clear-groups " + directory_ +
                          "/berth ctl --admin 127.0.0.1:" + std::to_string(g.admin_port());
  const Output status = run_line(ctl + " status --json");
  EXPECT_EQ(status.code, 0) << status.text;
  EXPECT_NE(status.text.find("\"state\":\"serving\""), std::string::npos) << status.text;
  const Output restart = run_line(ctl + " restart-engine");
  EXPECT_EQ(restart.code, 1) << restart.text;
  EXPECT_NE(restart.text.find("runs as user 0, berth ctl as user 65534"), std::string::npos)
      << restart.text;
  EXPECT_NE(restart.text.find("--token-file"), std::string::npos) << restart.text;
}

TEST_F(Operator, AnEngineOfAClusterSaysWhatIsWrongWithItsStore) {
  Process engine({berth_binary(), "engine", "--admin", "127.0.0.1:0", "--links", "127.0.0.1:0",
                  "--data", directory_ + "/data", "--store", "redis://user:secret@127.0.0.1:1/0"},
                 directory_ + "/log");
  EXPECT_TRUE(eventually([&] {
    return engine.log().find(
               "store not usable prefix=berth: for_s=0 "
               "error=\"redis://127.0.0.1:1: Connection refused\"") != std::string::npos;
  })) << engine.log();
  EXPECT_EQ(engine.log().find("secret@"), std::string::npos);
  engine.send(SIGKILL);
  engine.wait();
  const std::string log = engine.log();
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = log.find("store not usable", at)) != std::string::npos; ++at)
    ++lines;
  EXPECT_LE(lines, 2u) << "every 30 s at most" << log;
  Process serve({berth_binary(), "serve", "--admin", "127.0.0.1:0", "--mqtt", "127.0.0.1:0",
                 "--data", directory_ + "/data", "--store", "redis://127.0.0.1:1"},
                directory_ + "/log2");
  EXPECT_EQ(serve.wait(), 69);
  EXPECT_NE(serve.log().find("redis://127.0.0.1:1: Connection refused"), std::string::npos)
      << serve.log();
}

}  // namespace
}  // namespace berth::test
