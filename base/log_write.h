// How lines that are whole reach spdlog: for log.cc and log_event.cc.
#pragma once

#include <string_view>

#include "base/log_level.h"

namespace berth::base {

// `from`: a file's path or a part's name; becomes log.logger. `outcome`: event.outcome, "" for none.
void write_line(const char* from, const char* outcome, LogLevel level, std::string_view line);

}  // namespace berth::base
