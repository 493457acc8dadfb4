// What an operator's files and programs may be that nobody has meant: a directory, an emptied list
// of rights, a store that was forgotten, a symlink that leads nowhere. Each is refused with its
// name, before or without harm to the devices that are connected.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "tests/support/certificates.h"
#include "tests/support/command_line.h"
#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

namespace fs = std::filesystem;

class OperatorFiles : public CommandLine {
 protected:
  // What check-config says of this configuration, which it refuses.
  std::string refused(const std::string& yaml) const {
    const Output o = run("check-config --config " + file("berth.yaml", yaml));
    EXPECT_EQ(o.code, 78) << yaml << "\n" << o.text;
    return o.text;
  }
};

TEST_F(OperatorFiles, EnginesOfAClusterShareOneStore) {
  for (const char* partitions : {"1", "2"}) {
    const Output o =
        run("engine --engines 127.0.0.1:7883 --links 127.0.0.1:0 --admin 127.0.0.1:0 --data " +
            directory_ + "/data --partitions " + partitions);
    EXPECT_EQ(o.code, 78) << o.text;
    EXPECT_NE(o.text.find("store.url (--store) is not set"), std::string::npos) << o.text;
  }
}

TEST_F(OperatorFiles, ADirectoryInPlaceOfAFileIsNamed) {
  for (const char* command : {"check-config", "serve", "edge", "engine"}) {
    const Output o = run(std::string(command) + " --config " + directory_);
    EXPECT_EQ(o.code, 78) << o.text;
    EXPECT_NE(o.text.find(directory_ + ": cannot be read: is a directory"), std::string::npos)
        << o.text;
  }
  for (const char* setting :
       {"auth: {password_file: ", "auth: {acl_file: ", "admin: {token_file: ",
        "store: {redis_ca_file: ", "store: {url_file: ", "registry: {source: file, file: "}) {
    const std::string said = refused(setting + directory_ + "}\n");
    EXPECT_NE(said.find(directory_ + ": cannot be read: is a directory"), std::string::npos)
        << setting << said;
  }
}

TEST_F(OperatorFiles, WhatIsWrongIsSaidWithItsSetting) {
  Certificates certificates(directory_);
  certificates.issue("one", "one");
  certificates.issue("two", "two");
  const auto said_of = [&](const std::string& cert, const std::string& key,
                           const std::string& more) {
    return refused("mqtts: {listen: 127.0.0.1:8883, cert_file: " + directory_ + "/" + cert +
                   ", key_file: " + directory_ + "/" + key + more + "}\n");
  };
  const auto expect = [](const std::string& said, const std::string& what) {
    EXPECT_NE(said.find(what), std::string::npos) << said;
  };
  const std::string at = directory_ + "/";
  expect(said_of("none.crt", "one.key", ""),
         "mqtts.cert_file: " + at + "none.crt: No such file or directory");
  expect(said_of("one.crt", "none.key", ""),
         "mqtts.key_file: " + at + "none.key: No such file or directory");
  expect(said_of("one.crt", "two.key", ""),
         "mqtts.key_file: " + at + "two.key: not the key of " + at + "one.crt");
  expect(said_of("one.crt", "one.key", ", client_certificates: required, ca_file: " + at + "none"),
         "mqtts.ca_file: " + at + "none: No such file or directory");
  expect(refused("admin: {token_file: " + at + "none}\n"),
         "admin.token_file: " + at + "none: cannot be read: No such file or directory");
  expect(refused("admin: {token_file: " + file("token", "12345\n") + "}\n"),
         "admin.token_file: " + at + "token: the token has 5 characters, 8 are needed");
  expect(refused("log: ecs\n"), "'log' has keys of its own, for example 'log.format'");
  expect(refused("mqtt:\n\tlisten: 127.0.0.1:1883\n"), "berth.yaml:2: a tab in front of a key");
}

TEST_F(OperatorFiles, AnEmptiedAclIsBadAndTakesNoRight) {
  const std::string acl = file("acl", "topic readwrite #\n");
  const std::string config =
      file("berth.yaml", "auth: {anonymous: always, acl_file: " + acl + "}\n");
  GatewayProcess g({"--config", config});
  RawClient subscriber(g.mqtt_port());
  subscriber.send(connect({.client_id = "subscriber"}) + subscribe(1, "news/#", 0));
  ASSERT_FALSE(subscriber.until(9).empty());
  for (const char* text : {"", "# nobody yet\nuser alice\n"}) {
    const double before = g.metric("berth_access_files_refused_total");
    std::ofstream(acl) << text << std::flush;
    ASSERT_TRUE(eventually([&] { return g.metric("berth_access_files_refused_total") > before; },
                           std::chrono::seconds(60)))
        << g.log();
    EXPECT_TRUE(eventually([&] { return g.log().find(acl + ": no rule in it") != g.log().npos; }))
        << g.log();
    EXPECT_EQ(run("check-config --config " + config).code, 78);
    RawClient publisher(g.mqtt_port());
    publisher.send(connect({.client_id = "publisher"}) + publish("news/1", "still"));
    EXPECT_FALSE(subscriber.until(3).empty()) << "the rules of before are in force";
  }
  EXPECT_EQ(g.log().find("subscription ended"), std::string::npos) << g.log();
}

TEST_F(OperatorFiles, AnUpgradeToNothingIsRefusedWithItsPath) {
  fs::create_directories(directory_ + "/v1");
  fs::copy_file(berth_binary(), directory_ + "/v1/berth");
  const std::string current = directory_ + "/current";
  fs::create_directory_symlink("v1", current);
  ::setenv("BERTH_BINARY", (current + "/berth").c_str(), 1);
  GatewayProcess g({"--anonymous"});
  ::unsetenv("BERTH_BINARY");
  const pid_t before = g.engine_pid();
  const auto point_to = [&](const std::string& version) {
    fs::create_directory_symlink(version, current + ".new");
    fs::rename(current + ".new", current);
  };
  point_to("v2");  // is not there
  std::string said = g.post("/api/v1/engine/restart");
  EXPECT_EQ(said.find("engine replaced"), std::string::npos) << said;
  EXPECT_NE(said.find(current + "/berth: No such file or directory"), std::string::npos) << said;
  fs::create_directories(directory_ + "/v2");  // cut off by a full disk
  std::ifstream whole(berth_binary(), std::ios::binary);
  std::string half(1 << 20, '\0');
  whole.read(half.data(), static_cast<std::streamsize>(half.size()));
  std::ofstream(directory_ + "/v2/berth", std::ios::binary) << half;
  ::chmod((directory_ + "/v2/berth").c_str(), 0755);
  said = g.post("/api/v1/engine/restart");
  EXPECT_EQ(said.find("engine replaced"), std::string::npos) << said;
  EXPECT_NE(said.find(current + "/berth"), std::string::npos) << said;
  EXPECT_EQ(g.engine_pid(), before) << "the engine that works goes on";
  point_to("v1");
  EXPECT_NE(g.post("/api/v1/engine/restart").find("engine replaced"), std::string::npos);
  EXPECT_EQ(g.terminate(), 0);
}

// Of docs/operations.md: the block that begins with `first`.
std::string block(const std::string& first) {
  std::ifstream in(std::string(BERTH_SOURCE) + "/docs/operations.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t at = text.find(first);
  return at == std::string::npos ? std::string() : text.substr(at, text.find("```", at) - at);
}

// The two files of "A cluster on bare hosts", with certificates made by the commands beside them.
TEST_F(OperatorFiles, TheFilesOfAClusterInTheDocumentsAreGood) {
  const std::string commands = block("mkdir -p link");
  ASSERT_FALSE(commands.empty());
  const Output made = run_line("cd " + directory_ + " && bash -euc '" + commands + "'");
  ASSERT_EQ(made.code, 0) << made.text;
  fs::copy_file(directory_ + "/link/berth-edge.crt", directory_ + "/device.crt");
  fs::copy_file(directory_ + "/link/berth-edge.key", directory_ + "/device.key");
  file("users",
       "gate:$7$101$arQvV6TuUEq4Ebq2$SsMPy5lvEp+dtsj/eyXNvFAE8cwX0wb6JPG2kf+8V5tfax"
       "vQ0Pl9Lfa9O01Von3CgyjmhA7IvNbnbJZ1wp0qPQ==\n");
  file("acl", "topic readwrite #\n");
  file("store-url", "redis://127.0.0.1:1\n");
  file("admin-token", std::string(64, 'a') + "\n");
  for (const char* role : {"engine", "edge"}) {
    std::string yaml = block("# " + std::string(role) + ".yaml\n");
    ASSERT_FALSE(yaml.empty()) << role;
    yaml = std::regex_replace(yaml, std::regex("/etc/berth"), directory_);
    yaml = std::regex_replace(yaml, std::regex("/var/lib/berth"), directory_ + "/data");
    const Output o = run("check-config --config " + file(std::string(role) + ".yaml", yaml));
    EXPECT_EQ(o.code, 0) << role << ": " << o.text;
  }
}

}  // namespace
}  // namespace berth::test
