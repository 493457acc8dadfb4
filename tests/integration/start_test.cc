// How a gateway starts, or does not: what check-config calls good serve takes, what it refuses
// serve refuses in the same words; and what of a start others can see.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/support/certificates.h"
#include "tests/support/command_line.h"

namespace berth::test {
namespace {

namespace fs = std::filesystem;

class Start : public CommandLine {
 protected:
  // Both refuse it with 78, and name what is wrong.
  void expect_refused(const std::string& config, const std::string& why) const {
    const std::string path = file("bad.yaml", config);
    const Output checked = run("check-config --config " + path);
    EXPECT_EQ(checked.code, 78) << config << checked.text;
    EXPECT_NE(checked.text.find(why), std::string::npos) << config << checked.text;
    const Output served =
        run("serve --admin 127.0.0.1:0 --data " + directory_ + "/data --config " + path);
    EXPECT_EQ(served.code, 78) << config << served.text;
    EXPECT_NE(served.text.find(why), std::string::npos) << config << served.text;
  }
};

TEST_F(Start, WhatCheckConfigRefusesServeRefusesToo) {
  const auto pair = [&](const std::string& name) {
    return std::array<std::string, 2>{directory_ + "/" + name + ".crt",
                                      directory_ + "/" + name + ".key"};
  };
  const auto tls = [](const std::string& cert, const std::string& key) {
    return "mqtts: {listen: '127.0.0.1:0', cert_file: '" + cert + "', key_file: '" + key + "'}\n";
  };
  Certificates authority(directory_);
  authority.issue("one", "one.example");
  authority.issue("two", "two.example");
  expect_refused(tls("/nowhere.pem", "/nowhere.key"), "/nowhere.pem");
  expect_refused(tls(pair("one")[0], pair("two")[1]), "two.key");
  expect_refused("mqtt: {listen: '127.0.0.1:18831'}\nws: {listen: '127.0.0.1:18831'}\n",
                 "mqtt.listen and ws.listen have the same port");
  expect_refused("shards: 1\nshards: 2\n", "'shards' stands in line 1 already");
  expect_refused("? [a]\n: b\n", "expected a key");
  expect_refused("auth: {password_file: /nowhere}\n", "/nowhere");
  expect_refused("registry: {source: file, file: /nowhere}\n", "/nowhere");
  expect_refused("cluster: {engines: there}\n", "'there' is not HOST:PORT");
  expect_refused("store: {url_file: /nowhere}\n", "/nowhere");
  const Output good = run("check-config --config " +
                          file("good.yaml", tls(pair("one")[0] + ", " + pair("two")[0],
                                                pair("one")[1] + ", " + pair("two")[1])));
  EXPECT_EQ(good.code, 0) << good.text;
}

// What scripts/run shows before it starts.
TEST_F(Start, CheckConfigSaysWhereItWouldListen) {
  const Output places = run("check-config --places --mqtt 127.0.0.1:3883 --data " + directory_);
  EXPECT_EQ(places.code, 0) << places.text;
  EXPECT_NE(
      places.text.find("mqtt=127.0.0.1:3883\nadmin=127.0.0.1:9180\ndata=" + directory_ + "\n"),
      std::string::npos)
      << places.text;
}

TEST_F(Start, AMisspeltVariableIsNamed) {
  setenv("BERTH_MQTT_LISEN", "127.0.0.1:0", 1);
  const Output checked = run("check-config");
  unsetenv("BERTH_MQTT_LISEN");
  EXPECT_EQ(checked.code, 0);
  EXPECT_NE(checked.text.find("unknown variable 'BERTH_MQTT_LISEN'; is 'BERTH_MQTT_LISTEN' meant?"),
            std::string::npos)
      << checked.text;
}

TEST_F(Start, APasswordOnTheCommandLineIsNotSeenByOthers) {
  Process engine({berth_binary(), "engine", "--admin", "127.0.0.1:0", "--links", "127.0.0.1:0",
                  "--store", "redis://user:secret@127.0.0.1:1/0"},
                 directory_ + "/log");
  std::string line;
  EXPECT_TRUE(eventually([&] {
    std::ifstream in("/proc/" + std::to_string(engine.pid()) + "/cmdline");
    line.assign(std::istreambuf_iterator<char>(in), {});
    return line.find("redis://user:xxxxxx@127.0.0.1:1/0") != std::string::npos;
  })) << line
      << engine.log();
  EXPECT_EQ(line.find("secret"), std::string::npos);
  EXPECT_TRUE(eventually([&] {
    return engine.log().find("a password on the command line") != std::string::npos;
  })) << engine.log();
}

}  // namespace
}  // namespace berth::test
