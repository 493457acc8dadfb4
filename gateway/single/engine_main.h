// The engine child of a supervised gateway: `berth engine-child`, started by the supervisor only.
#pragma once

#include "gateway/config/config.h"
#include "gateway/config/config_source.h"

namespace berth::gateway {
int run_engine_child(const Config& config, const ConfigSource& source);
}
