// What can be found wrong with a configuration without listening or opening a store: the files it
// names are read with the code that reads them later.
#pragma once

#include "gateway/config.h"

namespace berth::gateway {

// Certificates and keys of device listeners and links. `serve`, `edge` and `engine` do this first.
// Throws ConfigError.
void check_certificates(const Config& config);

// All of it: for `berth check-config`. Throws ConfigError.
void preflight(const Config& config);

}  // namespace berth::gateway
