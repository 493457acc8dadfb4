#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "base/log_ecs.h"
#include "base/log_escape.h"
#include "base/log_event.h"
#include "base/log_levels.h"
#include "base/log_write.h"

namespace berth::base {
namespace {

constexpr std::size_t kQueueLines = 8192;
constexpr std::chrono::seconds kStopMax{2};
std::shared_ptr<spdlog::details::thread_pool> g_pool;

// %* : the message, nothing in it ends the line (spdlog's %v does not see to that).
class MessageFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm&,
              spdlog::memory_buf_t& dest) override {
    fmt::memory_buffer line;
    append_printable(line, {msg.payload.data(), msg.payload.size()}, false);
    dest.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<MessageFlag>();
  }
};

// %* : the message and what is in it (log_ecs.h), as the rest of a JSON object.
class EcsFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm&,
              spdlog::memory_buf_t& dest) override {
    fmt::memory_buffer line;
    append_printable(line, {msg.payload.data(), msg.payload.size()}, false);
    const std::string_view text(line.data(), line.size());
    fmt::memory_buffer out;
    const auto put = [&out](std::string_view s) { out.append(s.data(), s.data() + s.size()); };
    put("\"message\":\"");
    append_json(out, text);
    put("\"");
    append_ecs_fields(out, text);
    const auto add = [&](std::string_view name, std::string_view value) {
      if (value.empty()) return;
      put(name);
      append_json(out, value);
      put("\"");
    };
    add(",\"event.outcome\":\"", msg.source.funcname == nullptr ? "" : msg.source.funcname);
    add(",\"log.logger\":\"",
        msg.source.filename == nullptr ? "spdlog" : log_module_of(msg.source.filename));
    dest.append(out.data(), out.data() + out.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<EcsFlag>();
  }
};

std::unique_ptr<spdlog::formatter> make_formatter(const LogOptions& options) {
  auto f = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc,
                                                       spdlog::details::os::default_eol);
  if (options.format == LogFormat::ecs) {
    f->add_flag<EcsFlag>('*');
    f->set_pattern(R"({"@timestamp":"%Y-%m-%dT%H:%M:%S.%eZ","log.level":"%l",%*,)"
                   R"("ecs.version":"8.11.0","service.name":"berth","service.node.role":")" +
                   options.role + R"(","process.pid":%P})");
  } else {
    f->add_flag<MessageFlag>('*');
    f->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l [" + options.role + " %P] %*");
  }
  return f;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  static_assert(static_cast<int>(LogLevel::trace) == spdlog::level::trace);
  static_assert(static_cast<int>(LogLevel::err) == spdlog::level::err);
  return static_cast<spdlog::level::level_enum>(level);
}

}  // namespace

void start_log(const LogOptions& options) {
  g_pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  auto sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  sink->set_formatter(make_formatter(options));
  auto logger = std::make_shared<spdlog::async_logger>(
      "berth", sink, g_pool, spdlog::async_overflow_policy::overrun_oldest);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
  set_log_level(options.level);
}

bool log_wanted(LogLevel level) {
  return spdlog::default_logger_raw()->should_log(spdlog_level(level));
}

void write_line(const char* file, LogLevel level, fmt::string_view format, fmt::format_args args) {
  if (!log_wanted_of(file, level)) return;
  fmt::memory_buffer line;
  fmt::vformat_to(fmt::appender(line), format, args);
  write_line(file, "", level, {line.data(), line.size()});
}

void write_line(const char* from, const char* outcome, LogLevel level, std::string_view line) {
  spdlog::default_logger_raw()->log(spdlog::source_loc{from, 1, outcome}, spdlog_level(level),
                                    line);
}

bool stop_log() {
  log_left_out();
  const auto written = std::make_shared<std::promise<void>>();  // the thread may outlive this call
  std::future<void> done = written->get_future();
  std::thread([written, pool = std::exchange(g_pool, nullptr)]() mutable {
    spdlog::shutdown();
    pool.reset();
    written->set_value();
  }).detach();
  return done.wait_for(kStopMax) == std::future_status::ready;
}

std::uint64_t log_lines_dropped() {
  return g_pool ? g_pool->overrun_counter() : 0;
}

}  // namespace berth::base
