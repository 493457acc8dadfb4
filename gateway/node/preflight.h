// What can be found wrong with a configuration without listening or opening a store: the files it
// names are read with the code that reads them later.
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/node/host_check.h"

namespace berth::gateway {

// Certificates and keys of device listeners, or their last good copies. `serve`, `edge` and
// `engine` do this first. Throws ConfigError.
void check_certificates(const Config& config);

// Certificates and keys of device listeners and links: readable, of one another, not expired;
// copies do not count. For who is to take the place of a process that works. Throws ConfigError.
void prove_certificates(const Config& config);

// As they are configured, with copies kept in the data directory.
edge::TlsServerOptions device_tls(const Config& config);
link::TlsFiles link_tls(const Config& config);

// The files that the configuration names, read with the code that reads them later; no copy is kept
// and no address is looked at. Throws ConfigError.
void prove_named_files(const Config& config, Role role);

// All of it but what cluster/link_policy.h asks of a role: for `berth check-config`, which may run
// beside a gateway that works: no file and no directory is made or changed. Throws ConfigError;
// returns warnings.
std::vector<std::string> preflight(const Config& config, Role role);

}  // namespace berth::gateway
