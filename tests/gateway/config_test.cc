#include "gateway/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
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
  EXPECT_EQ(load_error("mqtt:\n  lisen: x\n"), ":2: unknown key 'mqtt.lisen'");
  EXPECT_EQ(load_error("log:\n\n  level: loud\n"),
            ":3: log.level: 'loud' is not one of: trace, debug, info, warn, error");
  EXPECT_EQ(load_error("mqtt:\n  receive_maximum: 0\n"),
            ":2: mqtt.receive_maximum: '0' is not a number from 1 to 65535");
  EXPECT_EQ(load_error("mqtt: [\n").substr(0, 2), ":2");
  EXPECT_NE(load_error("mqtt:\n  max_packet_bytes: 3000000\n").find("must be below"),
            std::string::npos);
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

}  // namespace
}  // namespace berth::gateway
