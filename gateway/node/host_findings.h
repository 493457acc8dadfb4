// `berth ctl check`: looks at the host on which a gateway is to run, before it runs. More than
// check-config (host_check.h), which only says what would keep a gateway from starting: this one
// measures. Writes a file without a name in store.directory, and takes each port for a moment.
#pragma once

#include <cstdint>

#include "gateway/node/finding.h"

namespace berth::gateway {

// Takes about `limit_s` seconds at most for the disk, and as long for Redis. `balancer_idle_s`:
// judge_balancer(). Throws nothing.
Findings host_findings(const Config& config, Role role, std::uint32_t limit_s,
                       std::uint32_t balancer_idle_s);
// Of a configuration that could not be read.
Finding unread_configuration(const std::string& why);

}  // namespace berth::gateway
