// `berth edge`: the sockets of devices, with engines on other hosts (ADR 8).
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// Runs until SIGTERM and its drain; returns the exit code. Throws ConfigError.
int run_edge(const Config& config);

}  // namespace berth::gateway::cluster
