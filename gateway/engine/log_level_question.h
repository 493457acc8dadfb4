// Another level of the log in an engine for a limited time: AskKind::log_level.
//
//   {"module": TEXT, "level": TEXT, "for_ms": N}   -> nothing; as base::ModuleLevel
#pragma once

#include <string_view>

namespace berth::gateway::engine {

void set_log_level(std::string_view question);

}  // namespace berth::gateway::engine
