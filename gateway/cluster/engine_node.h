// `berth engine`: an engine that serves edges of other hosts (ADR 8, 10). For each partition of the
// sessions one of the engines that share a store holds it and serves; the others are standbys with
// links and Redis connected. Main thread.
#pragma once

#include "gateway/config/config.h"
#include "gateway/config/config_source.h"

namespace berth::gateway::cluster {

// Runs until SIGTERM or a failure; returns the exit code.
int run_engine(const Config& config, const ConfigSource& source);

}  // namespace berth::gateway::cluster
