// A new edge process proves, before it asks the old process for its connections, that an engine
// accepts a link with the new process's certificates, names and configuration. The engine treats
// the trial's link as internal (an engine's own edge): it has no vote, and no standby waits for it.
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// Blocks until an engine has accepted a link, five seconds at most: then throws std::runtime_error
// that says of each engine why there is no link. Runs its own io_context on the caller's thread.
void prove_link(const Config& config);

}  // namespace berth::gateway::cluster
