// `berth edge`: holds the sockets of devices and has links to engines on other hosts (ADR 8).
#pragma once

#include "gateway/config/config.h"
#include "gateway/config/config_source.h"

namespace berth::gateway::cluster {

// Runs until SIGTERM and its drain; returns the exit code. Throws ConfigError.
int run_edge(const Config& config, const ConfigSource& source);

}  // namespace berth::gateway::cluster
