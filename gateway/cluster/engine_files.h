// The files of an engine beside its configuration. A standby checks them before it is asked to
// serve: a standby with bad files must not replace an engine that works (I14). Any thread.
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// The files that an engine reads when it begins to serve: access rules, passwords, registry.
std::vector<std::string> engine_files(const Config& config);
// The name of a bad file and what is wrong with it; empty: all are good. Blocks for milliseconds.
std::string engine_files_error(const Config& config);

}  // namespace berth::gateway::cluster
