#include "gateway/config/config_source.h"

#include <cstdlib>
#include <sstream>

#include "gateway/config/config_change.h"

namespace berth::gateway {
namespace {

constexpr const char* kFile = "BERTH_SUPERVISOR_CONFIG";
constexpr const char* kFixed = "BERTH_SUPERVISOR_FIXED";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

ConfigSource engine_source() {
  ConfigSource source;
  source.file = variable(kFile);
  std::istringstream in(variable(kFixed));
  for (std::string key; std::getline(in, key, ',');) source.fixed.insert(key);
  source.load = [file = source.file, fixed = source.fixed] {
    Config config;
    load_environment(config);
    load_url_file(config);
    if (file.empty()) return config;
    Config as_written;
    load_file(as_written, file);
    take_over(config, as_written, Applies::reload, fixed);
    return config;
  };
  return source;
}

void hand_down(const ConfigSource& source) {
  std::string fixed;
  for (const std::string& key : source.fixed) fixed += (fixed.empty() ? "" : ",") + key;
  ::setenv(kFile, source.file.c_str(), 1);
  ::setenv(kFixed, fixed.c_str(), 1);
}

}  // namespace berth::gateway
