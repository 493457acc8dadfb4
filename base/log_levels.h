// Levels for the lines of the log to come: one for all of them, and for a limited time others for
// single modules. A module is what log.logger says: "edge" for the files of gateway/edge. Any
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_level.h"

namespace berth::base {

inline constexpr std::array<std::string_view, 14> kLogModules{
    "admin", "cluster", "edge",    "engine", "link",  "node",    "registry",
    "rest",  "runtime", "session", "single", "store", "tracing", "uplink"};
inline constexpr std::string_view kAllModules = "all";

bool is_log_level(std::string_view level);    // as LogOptions::level
bool is_log_module(std::string_view module);  // also kAllModules

// As LogOptions::level. The levels of single modules stay.
void set_log_level(const std::string& level);
std::string log_level();

struct ModuleLevel {
  std::string module;  // kAllModules: of those that have no level of their own
  std::string level;
  std::int64_t left_ms = 0;  // then the level of set_log_level() is in force again
};
// Until then, also through set_log_level(). One level for each module at most; left_ms 0 ends it.
// False: no such module or level.
bool set_module_level(const ModuleLevel& m, std::int64_t now_ms);
std::vector<ModuleLevel> module_levels(std::int64_t now_ms);
// Ends those that are over; from log_tick().
void end_module_levels(std::int64_t now_ms);

// Of a module, or of the path of a file.
std::string_view log_module_of(std::string_view file);
bool log_wanted_of(std::string_view file_or_module, LogLevel level);

}  // namespace berth::base
