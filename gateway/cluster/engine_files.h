// The files of an engine beside its configuration, as a standby looks at them before it is asked to
// serve: who has bad ones is not to take the place of an engine that works (I14).
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// What is read when an engine begins to serve: the access rules, the passwords, the registry.
std::vector<std::string> engine_files(const Config& config);
// What is wrong with one of them, with its name; empty: nothing. Blocking, milliseconds.
std::string engine_files_error(const Config& config);

}  // namespace berth::gateway::cluster
