// What a configuration needs of the host that it is to run on, for `berth check-config`: what
// serve, edge and engine find out at their start, by the same code. Nothing is written, no
// configured port is taken: a gateway may work with the same configuration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway {

// Throws ConfigError: an address to listen on is not this host's, the data directory can't be used
// or made by the user that asks, the limit of open files is too low to start.
// Returns warnings, of what may be otherwise at the start or is no obstacle to it: fewer
// connections than configured, a Redis that does not answer (waits store.redis_timeout_ms for it),
// secret files that others can read, settings that mean nothing together.
std::vector<std::string> check_host(const Config& config, Role role);

// Throws ConfigError: the data directory can't be used, or not be made, by the user that asks.
void check_data_directory(const std::string& directory);

// Why every device on another host will be refused: listeners that others reach, and no names to
// log in with. Empty: some may come, or nothing can be said.
std::string all_refused(const Config& config, Role role);
// The same into the log.
void warn_if_all_are_refused(const Config& config, Role role);

}  // namespace berth::gateway
