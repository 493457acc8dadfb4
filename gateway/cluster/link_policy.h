// Closed by default (I15): whoever reaches a link speaks for every device of every tenant. A
// process does not start with links beyond loopback that are neither TLS with a name to look for
// nor said to be insecure on purpose.
#pragma once

#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// Each throws ConfigError with what to set.
void check_engine_links(const Config& config);  // of `berth engine`: its address, and its bridges'
void check_edge_links(const Config& config);    // of `berth edge`: the addresses of the engines

// All that the settings of a role must have before its process begins; the above too.
void check_engine_role(const Config& config);
void check_edge_role(const Config& config);

// Whether links go to loopback addresses only: where TLS is off and not said to be.
bool loopback_only(const ClusterConfig& cluster);

// "localhost", 127.0.0.0/8 or ::1. Names are not resolved: any other leads beyond loopback.
bool is_loopback_host(const std::string& host);

}  // namespace berth::gateway::cluster
