// BERTH_LOG(info, "closed conn={} reason={}", …): event first, then key=value. Asynchronous with a
// bounded queue; what does not fit is dropped and counted (log_lines_dropped). Thread-safe.
//
// Every string among the arguments is written as LogText (log_text.h): escaped and bounded. A name
// that a peer chose and that stands without quotes in the format is given as LogName. What a client
// can cause as often as it likes is a LogEvent (log_event.h).
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/log_level.h"
#include "base/log_text.h"

namespace berth::base {

enum class LogFormat { text, ecs };
struct LogOptions {
  LogFormat format = LogFormat::text;
  std::string level = "info";    // trace debug info warn error
  std::string role = "gateway";  // becomes service.node.role
};
void start_log(const LogOptions& options);  // once per process, before the first line
// Writes what waits, for two seconds at most. False: it is not all written (a pipe is full and
// nobody reads it), and a thread still tries; the process must end with _Exit.
bool stop_log();
std::uint64_t log_lines_dropped();

template <class T>
using Loggable =
    std::conditional_t<std::is_convertible_v<const T&, std::string_view>, LogText, const T&>;

// `file`: __FILE__; its folder becomes log.logger. Not a template: {fmt}'s formatting costs two
// seconds of compiling in each file that instantiates it.
void write_line(const char* file, LogLevel level, fmt::string_view format, fmt::format_args args);

template <class... Args>
void log_line(const char* file, LogLevel level,
              std::type_identity_t<fmt::format_string<Loggable<Args>...>> format,
              const Args&... args) {
  const auto write = [&](const auto&... a) {
    write_line(file, level, format, fmt::make_format_args(a...));
  };
  write(static_cast<Loggable<Args>>(args)...);
}

}  // namespace berth::base

#define BERTH_LOG(level_name, ...)                                                         \
  do {                                                                                     \
    if (::berth::base::log_wanted(::berth::base::LogLevel::level_name))                    \
      ::berth::base::log_line(__FILE__, ::berth::base::LogLevel::level_name, __VA_ARGS__); \
  } while (false)
