// What `berth ctl check` says of a host: one finding for each thing that was looked at, and what
// figures mean. Pure functions: host_findings.h does the measuring. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway {

struct Finding {
  enum class Result : std::uint8_t { ok, warn, fail };
  Result result = Result::ok;
  std::string check;     // what was looked at: "clock"
  std::string measured;  // what it is
  std::string fix = {};  // what to do, one line; empty: nothing
};
using Findings = std::vector<Finding>;

// 1 if one of them is a failure, else 0.
int exit_code_of(const Findings& all);
std::string findings_text(const Findings& all);
std::string findings_json(const Findings& all);

// `limit`: of open files; `system`: fs.file-max, 0: not known.
Finding judge_open_files(const Config& config, std::uint64_t limit, std::uint64_t system);

// net.core.somaxconn: the kernel cuts the backlog of each listener to it.
Finding judge_backlog(std::uint64_t somaxconn);
// A listener's port within net.ipv4.ip_local_port_range may be taken by an outgoing connection of
// this host. `reserved`: net.ipv4.ip_local_reserved_ports, "1883,8000-8010".
Finding judge_port_range(std::uint32_t low, std::uint32_t high, const std::string& reserved,
                         const std::vector<std::uint16_t>& ports);
// net.netfilter.nf_conntrack_max, which counts each connection where a firewall keeps states.
Finding judge_conntrack(std::uint64_t most, std::uint32_t connections);
// Packets that the kernel has dropped since its start, as net.core.netdev_max_backlog was full.
Finding judge_netdev_backlog(std::uint64_t dropped, std::uint64_t packets, std::uint64_t backlog);

// A load balancer ends a connection that is silent for `idle_s` (0: not said), and a device may be
// silent for its Keep Alive, at most `keep_alive_max_s` (0: as the device says).
Finding judge_balancer(std::uint32_t keep_alive_max_s, std::uint32_t idle_s);

// `error_us`: the estimated error of a synchronised clock. `floor_s`: the release is not older.
Finding judge_clock(bool synchronised, std::int64_t error_us, std::int64_t now_s,
                    std::int64_t floor_s);

// Microseconds of each write of 4 KiB with its fdatasync; sorted here. Not empty.
Finding judge_sync(std::vector<std::uint32_t> us);
Finding judge_free_space(std::uint64_t bytes, std::uint64_t history_bytes);
Finding judge_certificate(const std::string& what, std::int64_t not_after_s, std::int64_t now_s);

// What a Redis says of itself. A setting that may not be asked for is absent.
struct RedisFacts {
  std::map<std::string, std::string> info;  // of INFO
  std::map<std::string, std::string> settings;
  std::uint32_t ping_us = 0;  // the middle of some
};
Findings judge_redis(const RedisFacts& facts, std::uint32_t wait_replicas);
// "name:value" lines.
std::map<std::string, std::string> redis_info(const std::string& text);

}  // namespace berth::gateway
