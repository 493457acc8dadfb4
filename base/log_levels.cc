#include "base/log_levels.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace berth::base {
namespace {

using Level = spdlog::level::level_enum;

struct OfModule {
  std::string module;
  Level level{};
  std::int64_t until_ms = 0;
};
std::mutex g_mutex;
Level g_base = spdlog::level::info;
std::vector<OfModule> g_modules;
std::atomic<bool> g_any{false};  // a module has a level of its own

Level level_of(std::string_view name) {
  return spdlog::level::from_str(name == "warn" ? "warning" : std::string(name));
}

std::string name_of(Level level) {
  const spdlog::string_view_t name = spdlog::level::to_string_view(level);
  const std::string text(name.data(), name.size());
  return text == "warning" ? "warn" : text;
}

// REQUIRES: g_mutex.
const OfModule* find(std::string_view module) {
  const auto it = std::find_if(g_modules.begin(), g_modules.end(),
                               [module](const OfModule& m) { return m.module == module; });
  return it == g_modules.end() ? nullptr : &*it;
}

// The logger lets through what any module wants; log_wanted_of() does the rest. REQUIRES: g_mutex.
void apply() {
  Level lowest = find(kAllModules) != nullptr ? find(kAllModules)->level : g_base;
  for (const OfModule& m : g_modules) lowest = std::min(lowest, m.level);
  g_any = !g_modules.empty();
  spdlog::default_logger_raw()->set_level(lowest);
}

}  // namespace

bool is_log_level(std::string_view level) {
  static constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warn",
                                                           "error"};
  return std::find(kLevels.begin(), kLevels.end(), level) != kLevels.end();
}

bool is_log_module(std::string_view module) {
  return module == kAllModules ||
         std::find(kLogModules.begin(), kLogModules.end(), module) != kLogModules.end();
}

void set_log_level(const std::string& level) {
  const std::lock_guard lock(g_mutex);
  g_base = level_of(level);
  apply();
}

std::string log_level() {
  const std::lock_guard lock(g_mutex);
  return name_of(g_base);
}

bool set_module_level(const ModuleLevel& m, std::int64_t now_ms) {
  if (!is_log_module(m.module) || (m.left_ms != 0 && !is_log_level(m.level))) return false;
  const std::lock_guard lock(g_mutex);
  std::erase_if(g_modules, [&m](const OfModule& known) { return known.module == m.module; });
  if (m.left_ms != 0) g_modules.push_back({m.module, level_of(m.level), now_ms + m.left_ms});
  apply();
  return true;
}

std::vector<ModuleLevel> module_levels(std::int64_t now_ms) {
  const std::lock_guard lock(g_mutex);
  std::vector<ModuleLevel> all;
  for (const OfModule& m : g_modules)
    all.push_back({m.module, name_of(m.level), std::max<std::int64_t>(m.until_ms - now_ms, 0)});
  return all;
}

void end_module_levels(std::int64_t now_ms) {
  if (!g_any.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(g_mutex);
  if (std::erase_if(g_modules, [now_ms](const OfModule& m) { return now_ms >= m.until_ms; }) != 0)
    apply();
}

// "gateway/edge/acceptor.cc" -> "edge"; a module's name is one.
std::string_view log_module_of(std::string_view file) {
  const std::size_t end = file.rfind('/');
  if (end == std::string_view::npos) return file;
  const std::size_t before = file.rfind('/', end - 1);
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  return file.substr(begin, end - begin);
}

bool log_wanted_of(std::string_view file_or_module, LogLevel level) {
  if (!g_any.load(std::memory_order_relaxed)) return true;
  const std::lock_guard lock(g_mutex);
  const OfModule* m = find(log_module_of(file_or_module));
  if (m == nullptr) m = find(kAllModules);
  return static_cast<Level>(level) >= (m != nullptr ? m->level : g_base);
}

}  // namespace berth::base
