#include "gateway/node/bad_configuration.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <regex>

#include "base/log.h"

namespace berth::gateway {
namespace {

// The file may be what is bad, so it is not parsed.
bool names_ecs(const std::string& path) {
  static const std::regex kFormat(R"re(^[^#]*\bformat:\s*["']?ecs\b)re");
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (std::regex_search(line, kFormat)) return true;
  }
  return false;
}

bool wants_ecs(const LogWanted& log) {
  if (!log.flag.empty()) return log.flag == "ecs";
  if (const char* variable = std::getenv("BERTH_LOG_FORMAT")) return std::string(variable) == "ecs";
  return !log.config_file.empty() && names_ecs(log.config_file);
}

}  // namespace

void say_bad_configuration(const std::string& why, const LogWanted& log) {
  if (!wants_ecs(log)) {
    std::fprintf(stderr, "berth: configuration: %s\n", why.c_str());
    return;
  }
  base::start_log({.format = base::LogFormat::ecs, .level = "info", .role = log.role});
  BERTH_LOG(err, "bad configuration error=\"{}\"", why);
  base::stop_log();
}

}  // namespace berth::gateway
