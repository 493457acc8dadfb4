// How much memory this process may have: the least of its cgroup's limits, of those above it, of
// its own limit of data (engine.memory_mb), and of what the machine has. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace berth::metrics {

// Under `root`: the files /proc/self/cgroup, /proc/meminfo and /sys/fs/cgroup/…, as the kernel
// writes them (cgroups v1 and v2). 0: none of them says it.
std::uint64_t memory_limit_of_host(const std::string& root);
std::uint64_t memory_limit_bytes();

}  // namespace berth::metrics
