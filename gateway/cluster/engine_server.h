// `berth engine`: an engine that serves edges of other hosts (ADR 8). One of the engines that share
// a store holds it and serves; the others are standbys with everything open: links, Redis, caches
// of nothing. Main thread; the store is taken and restored on a thread of its own while heartbeats
// go on.
//
// standby -> starting (an edge nominates us, or the store is free) -> serving -> leaving (drain),
// or fenced: another engine has taken the store. Then all is thrown away and we are a standby
// again.
#pragma once

#include "gateway/config.h"

namespace berth::gateway::cluster {

// Runs until SIGTERM or a failure; returns the exit code.
int run_engine(const Config& config);

}  // namespace berth::gateway::cluster
