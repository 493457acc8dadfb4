// Closed by default (I15): who can open a link can speak for every device of every tenant. A
// process with links beyond loopback starts only if these have TLS with a name to verify, or if its
// configuration says that they are insecure on purpose. No state; any thread.
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// Each throws ConfigError with what to set.
void check_engine_links(const Config& config);  // of `berth engine`: its address, and its bridges'
void check_edge_links(const Config& config);    // of `berth edge`: the addresses of the engines

// Checks all settings of a role before its process begins, the above among them.
void check_engine_role(const Config& config);
void check_edge_role(const Config& config);

// True if links may go to loopback addresses only: TLS is off and the configuration does not say
// that links are insecure on purpose.
bool loopback_only(const ClusterConfig& cluster);

// "localhost", 127.0.0.0/8 or ::1. Names are not resolved: any other leads beyond loopback.
bool is_loopback_host(const std::string& host);

}  // namespace berth::gateway::cluster
