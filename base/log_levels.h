// Another level for the lines of the log to come. Any thread.
#pragma once

#include <string>

namespace berth::base {

void set_log_level(const std::string& level);  // as LogOptions::level

}  // namespace berth::base
