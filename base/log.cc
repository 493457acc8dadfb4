#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace berth::base {
namespace {

constexpr std::size_t kQueueLines = 8192;
constexpr std::chrono::seconds kStopMax{2};
std::shared_ptr<spdlog::details::thread_pool> g_pool;

// %* : the message, nothing in it ends the line; in `json` as the inside of a JSON string (spdlog's
// %v does neither).
class MessageFlag : public spdlog::custom_flag_formatter {
 public:
  explicit MessageFlag(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& msg, const std::tm&,
              spdlog::memory_buf_t& dest) override {
    fmt::memory_buffer line;
    append_printable(line, {msg.payload.data(), msg.payload.size()}, false);
    for (const char c : std::string_view(line.data(), line.size())) {
      if (json_ && (c == '"' || c == '\\')) dest.push_back('\\');
      dest.push_back(c);
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<MessageFlag>(json_);
  }

 private:
  bool json_;
};

std::unique_ptr<spdlog::formatter> make_formatter(const LogOptions& options) {
  auto f = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc,
                                                       spdlog::details::os::default_eol);
  f->add_flag<MessageFlag>('*', options.format == LogFormat::ecs);
  if (options.format == LogFormat::ecs) {
    f->set_pattern(R"({"@timestamp":"%Y-%m-%dT%H:%M:%S.%eZ","log.level":"%l","message":"%*",)"
                   R"("ecs.version":"8.11.0","service.name":"berth","service.node.role":")" +
                   options.role + R"(","process.pid":%P})");
  } else {
    f->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l [" + options.role + " %P] %*");
  }
  return f;
}

}  // namespace

void start_log(const LogOptions& options) {
  g_pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  auto sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  sink->set_formatter(make_formatter(options));
  auto logger = std::make_shared<spdlog::async_logger>(
      "berth", sink, g_pool, spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(spdlog::level::from_str(options.level == "warn" ? "warning" : options.level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
}

bool stop_log() {
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

bool LogLimiter::allow(std::int64_t now_ms) {
  if (now_ms - interval_start_ms_ >= 10'000) {
    interval_start_ms_ = now_ms;
    used_ = 0;
  }
  if (used_ < per_interval_) {
    ++used_;
    return true;
  }
  ++suppressed_;
  return false;
}

}  // namespace berth::base
