// The levels of the log, in spdlog's order. A header of its own: spdlog's take a second to compile.
#pragma once

#include <cstdint>

namespace berth::base {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, err };

bool log_wanted(LogLevel level);  // a line of this level would be written; any thread

}  // namespace berth::base
