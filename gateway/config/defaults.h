// Settings of an image: below the file of --config, above the built-in ones.
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway {

// A variable with this name names the file (YAML, as that of --config).
inline constexpr const char* kDefaultsVariable = "BERTH_DEFAULTS_FILE";

// Reads it, if there is one. Throws ConfigError.
void load_defaults(Config& config);

}  // namespace berth::gateway
