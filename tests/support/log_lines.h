// Lines of the log, while it lives. The limits of kinds of lines begin anew: what tests before have
// logged does not count.
#pragma once

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

#include "base/clock.h"
#include "base/log_event.h"

namespace berth::test {

class LogLines {
 public:
  LogLines() : before_(spdlog::default_logger()) {
    base::log_tick(base::monotonic_ns() / 1'000'000 + base::LogKind::kInterval_ms);
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(logger);
  }
  ~LogLines() { spdlog::set_default_logger(before_); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  std::string all() const { return out_.str(); }
  std::string take() {
    std::string lines = out_.str();
    out_.str({});
    return lines;
  }

 private:
  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> before_;
};

}  // namespace berth::test
