#include "gateway/config/config.h"
#include "gateway/config/config_change.h"
#include "gateway/config/defaults.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace berth::gateway {
namespace {

std::string load_error(const std::string& yaml) {
  std::string path = std::filesystem::temp_directory_path() / "berth-config-XXXXXX";
  ::close(mkstemp(path.data()));
  std::ofstream(path) << yaml;
  std::string what;
  try {
    Config c;
    load_file(c, path);
    check(c);
  } catch (const ConfigError& e) {
    what = e.what();
    if (what.starts_with(path)) what = what.substr(path.size());
  }
  std::filesystem::remove(path);
  return what;
}

TEST(Config, TellsFileAndLine) {
  EXPECT_EQ(load_error("mqtt:\n  listen: 0.0.0.0:1883\n"), "");
  EXPECT_EQ(load_error("mqtt:\n  lisen: x\n"),
            ":2: unknown key 'mqtt.lisen'; is 'mqtt.listen' meant?");
  EXPECT_EQ(load_error("session: {queue_policy: drop_new}\n"),
            ":1: unknown key 'session.queue_policy'; is one of 'session.queue_messages', "
            "'session.queue_bytes', 'session.queue_full' meant?");
  EXPECT_EQ(load_error("session: {zygote: 1}\n"), ":1: unknown key 'session.zygote'");
  EXPECT_EQ(load_error("log: ecs\n"), ":1: 'log' has keys of its own, for example 'log.format'");
  EXPECT_EQ(load_error("log:\n\tformat: ecs\n"),
            ":2: a tab in front of a key; YAML takes spaces only");
  EXPECT_EQ(load_error("log: {format: ecs,\n\tlevel: info}\n"), "") << "within braces it may";
  EXPECT_EQ(load_error("log:\n\n  level: loud\n"),
            ":3: log.level: 'loud' is not one of: trace, debug, info, warn, error");
  EXPECT_EQ(load_error("mqtt:\n  receive_maximum: 0\n"),
            ":2: mqtt.receive_maximum: '0' is not a number from 1 to 65535");
  EXPECT_EQ(load_error("mqtt: [\n").substr(0, 2), ":2");
  EXPECT_NE(load_error("mqtt:\n  max_packet_bytes: 30000000\n").find("must be below"),
            std::string::npos);
  EXPECT_EQ(load_error("mqtt:\n  input_buffer_bytes: 2097152\n"), "") << "packets give way";
  EXPECT_EQ(load_error("mqtt:\n  input_buffer_total_bytes: 2097152\n"), "");
}

TEST(Config, WhatYamlTakesAndNobodyMeansIsAnError) {
  EXPECT_EQ(load_error("shards: 1\nshards: 2\n"), ":2: 'shards' stands in line 1 already");
  EXPECT_EQ(load_error("log: {level: info}\nmqtt:\n  receive_maximum: 5\nlog: {format: ecs}\n"),
            ":4: 'log' stands in line 1 already");
  EXPECT_EQ(load_error("shards: 1\n---\nshards: 2\n"), ":3: a second document; a file has one");
  EXPECT_EQ(load_error("? [a, b]\n: c\n"), ":1: expected a key");
  EXPECT_EQ(load_error("xyzzy:\n"), ":1: unknown key 'xyzzy'");
  EXPECT_EQ(load_error("mqtt: {listen: '127.0.0.1:1883'}\nws: {listen: '0.0.0.0:1883'}\n"),
            "mqtt.listen and ws.listen have the same port 1883");
  EXPECT_EQ(load_error("mqtt: {listen: '127.0.0.1:9180'}\n"),
            "mqtt.listen and admin.listen have the same port 9180");
  EXPECT_EQ(load_error("cluster: {engines: 'here:7883,there'}\n"),
            "cluster.engines: 'there' is not HOST:PORT");
}

TEST(Config, WhatIsMeantIsTaken) {
  EXPECT_EQ(load_error("session:\n  # expiry_max_s: 100\nlog:\n  level: info\n"), "");
  EXPECT_EQ(load_error("mqtt:\n  listen: [::]:1883\n"), "");
  EXPECT_EQ(load_error("mqtt: {listen: [::1]:1884, proxies: \"\"}\n"), "");
  EXPECT_EQ(load_error("mqtt: {listen: '127.0.0.1:0'}\nws: {listen: '127.0.0.1:0'}\n"), "");
  EXPECT_EQ(load_error("mqtt: {listen: '127.0.0.1:1883'}\nws: {listen: '127.0.0.2:1883'}\n"), "");
}

TEST(Config, OfTracingSaysWhatIsWrong) {
  EXPECT_EQ(load_error("tracing: {endpoint: 'http://otel:4318/v1/traces', share: 0.5, "
                       "devices: 'acme/gate, acme/cam', service_name: lot}\n"),
            "");
  EXPECT_EQ(load_error("tracing: {endpoint: 'otel:4318'}\n"),
            ":1: tracing.endpoint: 'otel:4318' is not http://HOST:PORT/v1/traces, nor with https");
  EXPECT_EQ(load_error("tracing: {endpoint: 'https://otel/v1/traces', ca_file: /etc/ca.pem, "
                       "headers_file: /run/secrets/headers}\n"),
            "");
  EXPECT_EQ(load_error("tracing: {share: 5}\n"),
            ":1: tracing.share: '5' is not a number from 0 to 1");
  EXPECT_EQ(load_error("tracing: {devices: gate}\n"),
            ":1: tracing.devices: 'gate' is not TENANT/DEVICE");
}

TEST(Config, AVariableThatIsNoSettingIsAWarningThatSaysWhichIsMeant) {
  const char* const set[] = {"BERTH_MQTT_LISEN",         "BERTH_SERVICE_HOST",
                             "BERTH_PORT_1883_TCP_ADDR", "BERTH_ENGINE_SERVICE_PORT_LINK",
                             "BERTH_ENGINE_PORT",        "BERTH_SUPERVISOR_PID"};
  for (const char* name : set) setenv(name, "1", 1);
  Config c;
  load_environment(c);
  for (const char* name : set) unsetenv(name);
  ASSERT_EQ(c.warnings.size(), 1U);
  EXPECT_EQ(c.warnings[0],
            "environment: unknown variable 'BERTH_MQTT_LISEN'; is 'BERTH_MQTT_LISTEN' meant?");
}

TEST(Config, AUrlInAFileIsGivenToNoChild) {
  std::string path = std::filesystem::temp_directory_path() / "berth-url-XXXXXX";
  ::close(mkstemp(path.data()));
  std::ofstream(path) << "redis://user:secret@127.0.0.1:6379/2\n";
  Config c;
  set_key(c, "store.url_file", path);
  load_url_file(c);
  EXPECT_EQ(c.store_url, "redis://user:secret@127.0.0.1:6379/2");
  for (const auto& [name, value] : to_environment(c))
    EXPECT_EQ(value.find("secret"), std::string::npos) << name;
  std::ofstream(path, std::ios::trunc) << "\n";
  EXPECT_THROW(load_url_file(c), ConfigError);
  std::filesystem::remove(path);
  EXPECT_THROW(load_url_file(c), ConfigError);
}

TEST(Config, EveryKeyIsDocumentedWithItsDefault) {
  Config documented;
  load_file(documented, std::string(BERTH_SOURCE) + "/config/berth.yaml");
  EXPECT_EQ(to_environment(documented), to_environment(Config{}));
  std::ifstream in(std::string(BERTH_SOURCE) + "/config/berth.yaml");
  std::stringstream text;
  text << in.rdbuf();
  for (const std::string& key : config_keys()) {
    const std::string last = key.substr(key.rfind('.') + 1);
    EXPECT_NE(text.str().find(last + ":"), std::string::npos) << key;
  }
}

// k8s/chart/settings.py makes the file.
TEST(Config, TheChartKnowsHowEachKeyApplies) {
  std::ifstream in(std::string(BERTH_SOURCE) + "/k8s/chart/berth/files/settings.json");
  std::stringstream text;
  text << in.rdbuf();
  std::map<std::string, std::string> chart;
  const boost::json::value file = boost::json::parse(text.str());
  for (const auto& [key, how] : file.as_object())
    chart[std::string(key)] = std::string(how.as_string());
  std::map<std::string, std::string> compiled;
  for (const std::string& key : config_keys()) {
    const Applies how = how_applied(key);
    compiled[key] = how == Applies::reload   ? "reload"
                    : how == Applies::engine ? "engine"
                                             : "restart";
  }
  EXPECT_EQ(chart, compiled) << "k8s/chart/settings.py --write";
}

TEST(Config, AChildGetsEveryValue) {
  Config c;
  for (const std::string& key : config_keys()) {
    const std::string value = to_environment(c).at(environment_name(key));
    set_key(c, key, value);
    EXPECT_EQ(to_environment(c).at(environment_name(key)), value) << key;
  }
}

TEST(Config, EnvironmentOverridesTheFile) {
  Config c;
  setenv("BERTH_MQTT_LISTEN", "[::1]:2000", 1);
  load_environment(c);
  unsetenv("BERTH_MQTT_LISTEN");
  EXPECT_EQ(c.listener(edge::Transport::mqtt).listen, "[::1]:2000");
}

// A file with this text; its name.
std::string file_with(const std::string& text) {
  std::string path = std::filesystem::temp_directory_path() / "berth-config-XXXXXX";
  ::close(mkstemp(path.data()));
  std::ofstream(path) << text;
  return path;
}

TEST(Config, AVariableMayNameAFileWithTheValue) {
  const std::string path = file_with("always\r\nand more\n");
  setenv("BERTH_AUTH_ANONYMOUS_FILE", path.c_str(), 1);
  Config c;
  load_environment(c);
  EXPECT_EQ(c.anonymous, engine::Anonymous::always);
  EXPECT_TRUE(c.warnings.empty());
  setenv("BERTH_AUTH_ANONYMOUS", "never", 1);
  EXPECT_THROW(load_environment(c), ConfigError);
  unsetenv("BERTH_AUTH_ANONYMOUS");
  // A child has the value, and the file counts no more.
  EXPECT_EQ(to_environment(c).at("BERTH_AUTH_ANONYMOUS_FILE"), "");
  EXPECT_EQ(to_environment(c).at("BERTH_AUTH_ANONYMOUS"), "always");
  std::filesystem::remove(path);
  EXPECT_THROW(load_environment(c), ConfigError);
  unsetenv("BERTH_AUTH_ANONYMOUS_FILE");
}

TEST(Config, AVariableOfASettingThatNamesAFileIsNoFileWithAValue) {
  setenv("BERTH_STORE_URL_FILE", "/nowhere", 1);
  setenv("BERTH_MQTTS_CERT_FILE", "/nowhere", 1);
  Config c;
  load_environment(c);
  unsetenv("BERTH_STORE_URL_FILE");
  unsetenv("BERTH_MQTTS_CERT_FILE");
  EXPECT_EQ(c.store_url_file, "/nowhere");
  EXPECT_EQ(c.tls.cert_file, "/nowhere");
  EXPECT_TRUE(c.store_url.empty());
}

TEST(Config, WhatAnImageSetsGivesWayToTheFile) {
  const std::string image = file_with("mqtt: {listen: '0.0.0.0:1883'}\nlog: {format: ecs}\n");
  const std::string own = file_with("mqtt: {listen: '10.0.0.1:1883'}\n");
  setenv("BERTH_DEFAULTS_FILE", image.c_str(), 1);
  Config c;
  load_defaults(c);
  load_file(c, own);
  load_environment(c);
  unsetenv("BERTH_DEFAULTS_FILE");
  EXPECT_EQ(c.listener(edge::Transport::mqtt).listen, "10.0.0.1:1883");
  EXPECT_EQ(c.log_format, "ecs");
  EXPECT_TRUE(c.warnings.empty());
  std::filesystem::remove(image);
  std::filesystem::remove(own);
}

// An engine needs to know where names come from; certificates and listeners are the edges'.
TEST(Config, SettingsOfDeviceListenersAreNotCheckedForAnEngine) {
  const auto wrong = [](Role role, const std::vector<std::pair<std::string, std::string>>& set) {
    Config c;
    for (const auto& [key, value] : set) set_key(c, key, value);
    try {
      check(c, role);
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const auto named = [&](Role role) { return wrong(role, {{"mqtts.user_name", "common_name"}}); };
  EXPECT_EQ(named(Role::engine), "");
  EXPECT_EQ(named(Role::edge), "mqtts.user_name needs mqtts.client_certificates");
  EXPECT_EQ(named(Role::serve), "mqtts.user_name needs mqtts.client_certificates");
  const auto silent = [&](Role role) { return wrong(role, {{"mqtt.listen", ""}}); };
  EXPECT_EQ(silent(Role::engine), "");
  EXPECT_NE(silent(Role::edge), "");
  const auto required = [&](Role role) {
    return wrong(role, {{"mqtts.client_certificates", "required"}});
  };
  EXPECT_EQ(required(Role::engine), "");
  EXPECT_EQ(required(Role::edge), "mqtts.client_certificates needs mqtts.ca_file");
  // Ports: those at which the role listens.
  const auto same = [&](Role role, const char* key) {
    return wrong(role, {{"admin.listen", "127.0.0.1:9000"}, {key, "127.0.0.1:9000"}});
  };
  EXPECT_EQ(same(Role::engine, "mqtt.listen"), "");
  EXPECT_NE(same(Role::edge, "mqtt.listen"), "");
  EXPECT_NE(same(Role::engine, "cluster.listen"), "");
  EXPECT_EQ(same(Role::edge, "cluster.listen"), "");
}

}  // namespace
}  // namespace berth::gateway
