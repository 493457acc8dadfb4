// `berth serve`: builds one gateway, in one process or as an edge process with an engine child.
#pragma once

#include "gateway/config/config.h"
#include "gateway/config/config_source.h"

namespace berth::gateway {

// Runs until SIGTERM or SIGINT. Returns the exit code.
int serve(const Config& config, const ConfigSource& source);

}  // namespace berth::gateway
