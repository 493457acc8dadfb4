// What a new edge shows before it asks for the connections of the edge that works: with its own
// certificates, names and configuration an engine takes a link of it. The trial's link counts at
// the engine as one of an engine's own edge: it has no vote, and no standby waits for it.
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// Blocks until an engine has taken a link, five seconds at most: then throws std::runtime_error
// that says of each engine why there is no link. One thread of its own loop; the caller's.
void prove_link(const Config& config);

}  // namespace berth::gateway::cluster
