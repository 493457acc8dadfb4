// `berth ctl check`: looks at the host on which a gateway is to run, before it runs. More than
// check-config (host_check.h), which only says what would keep a gateway from starting: this one
// measures. Writes a file without a name in store.directory, and takes each port for a moment.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "gateway/node/finding.h"

namespace berth::gateway {

// Takes about `limit_s` seconds at most for the disk, and as long for Redis. `balancer_idle_s`:
// judge_balancer(). Throws nothing.
Findings host_findings(const Config& config, Role role, std::uint32_t limit_s,
                       std::uint32_t balancer_idle_s);
// The same beside a gateway that runs on this host, in its working directory, with its settings as
// its API shows them (keys that are not known here are left out). Not its ports, its store's lock
// and its open files, which it has; nor a Redis whose password is not shown. Throws nothing.
Findings findings_beside(const std::map<std::string, std::string>& settings, Role role,
                         std::uint32_t limit_s);
// Of a configuration that could not be read.
Finding unread_configuration(const std::string& why);

}  // namespace berth::gateway
