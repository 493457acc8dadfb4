#include "gateway/node/finding.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "gateway/node/descriptors.h"

namespace berth::gateway {

namespace json = boost::json;
using Result = Finding::Result;

namespace {

constexpr std::uint64_t kBacklog = 4096;  // of edge::open_listener()
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kExpiresSoon = 30 * kDay;
constexpr std::uint32_t kSlowSync_us = 20'000;
constexpr std::uint32_t kUselessSync_us = 500'000;

const char* name_of(Result r) {
  return r == Result::ok ? "OK" : r == Result::warn ? "WARN" : "FAIL";
}

std::string milliseconds(std::uint32_t us) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f ms", us / 1000.0);
  return text.data();
}

std::string size_text(std::uint64_t bytes) {
  return bytes < 10'240 * kMiB ? std::to_string(bytes / kMiB) + " MiB"
                               : std::to_string(bytes / kMiB / 1024) + " GiB";
}

bool is_reserved(const std::string& ranges, std::uint32_t port) {
  for (const char* at = ranges.c_str(); *at != '\0';) {
    char* end = nullptr;
    const unsigned long first = std::strtoul(at, &end, 10);
    if (end == at) return false;
    unsigned long last = first;
    if (*end == '-') last = std::strtoul(end + 1, &end, 10);
    if (first <= port && port <= last) return true;
    at = *end == ',' ? end + 1 : end;
    if (*end != ',') return false;
  }
  return false;
}

// The member, or "" if it is absent.
std::string in(const std::map<std::string, std::string>& all, const char* name) {
  const auto it = all.find(name);
  return it == all.end() ? std::string() : it->second;
}

std::uint64_t number(const std::string& text) {
  return std::strtoull(text.c_str(), nullptr, 10);
}

}  // namespace

int exit_code_of(const Findings& all) {
  const auto fails = [](const Finding& f) { return f.result == Result::fail; };
  return std::any_of(all.begin(), all.end(), fails) ? 1 : 0;
}

std::string findings_text(const Findings& all) {
  std::size_t width = 0;
  for (const Finding& f : all) width = std::max(width, f.check.size());
  std::string out;
  std::array<int, 3> count{};
  for (const Finding& f : all) {
    ++count[static_cast<std::size_t>(f.result)];
    const std::string result = name_of(f.result);
    out += result + std::string(6 - result.size(), ' ') + f.check +
           std::string(width - f.check.size() + 2, ' ') + f.measured + "\n";
    if (!f.fix.empty()) out += std::string(width + 8, ' ') + "fix: " + f.fix + "\n";
  }
  return out + "\n" + std::to_string(count[0]) + " OK, " + std::to_string(count[1]) + " WARN, " +
         std::to_string(count[2]) + " FAIL\n";
}

std::string findings_json(const Findings& all) {
  json::array checks;
  for (const Finding& f : all) {
    json::object o{{"check", f.check}, {"result", name_of(f.result)}, {"measured", f.measured}};
    if (!f.fix.empty()) o["fix"] = f.fix;
    checks.push_back(std::move(o));
  }
  return json::serialize(
             json::object{{"checks", std::move(checks)}, {"failed", exit_code_of(all) != 0}}) +
         "\n";
}

Finding judge_open_files(const Config& config, std::uint64_t limit, std::uint64_t system) {
  const bool own_store = config.single_process && config.store_url.empty();
  const DescriptorShare share = share_descriptors(limit, config.shards, own_store);
  const std::uint64_t wanted = config.edge.max_connections;
  Finding f{Result::ok, "open files",
            "limit " + std::to_string(limit) + ": room for " + std::to_string(share.devices) +
                " connections; mqtt.max_connections is " + std::to_string(wanted) +
                (wanted == Config().edge.max_connections ? " (nobody has set it)" : "")};
  const std::string how = "LimitNOFILE= of the unit, ulimit -n or --ulimit nofile: at least ";
  if (share.devices == 0) {
    f.result = Result::fail;
    f.fix = how + std::to_string(share.least) + " to start at all";
  } else if (share.devices < wanted && short_of_descriptors(config, share.devices)) {
    f.result = Result::warn;
    f.fix = how + std::to_string(wanted + 1300) + "; it counts where the gateway is started";
  } else if (system != 0 && system < std::min(wanted, share.devices) + share.reserved) {
    f.result = Result::warn;
    f.measured = "fs.file-max " + std::to_string(system) + " is less than the connections need";
    f.fix = "sysctl -w fs.file-max=" + std::to_string(2 * (wanted + share.reserved));
  }
  return f;
}

Finding judge_backlog(std::uint64_t somaxconn) {
  Finding f{Result::ok, "somaxconn", std::to_string(somaxconn)};
  if (somaxconn >= kBacklog) return f;
  f.result = Result::warn;
  f.measured += ": when all devices come at once the kernel drops connections above this backlog";
  f.fix = "sysctl -w net.core.somaxconn=" + std::to_string(kBacklog) + ", and in /etc/sysctl.d";
  return f;
}

Finding judge_port_range(std::uint32_t low, std::uint32_t high, const std::string& reserved,
                         const std::vector<std::uint16_t>& ports) {
  Finding f{Result::ok, "ip_local_port_range",
            std::to_string(low) + " to " + std::to_string(high) + ": no listener's port is in it"};
  std::string within;
  for (const std::uint16_t p : ports) {
    if (p < low || p > high || is_reserved(reserved, p)) continue;
    within += (within.empty() ? "" : ",") + std::to_string(p);
  }
  if (within.empty()) return f;
  f.result = Result::warn;
  f.measured = std::to_string(low) + " to " + std::to_string(high) + " has the port " + within +
               ": an outgoing connection of this host may take it before the gateway starts";
  f.fix = "sysctl -w net.ipv4.ip_local_reserved_ports=" + within + " (with those that are there)";
  return f;
}

Finding judge_conntrack(std::uint64_t most, std::uint32_t connections) {
  Finding f{Result::ok, "nf_conntrack_max", std::to_string(most)};
  if (most >= std::uint64_t{connections} * 5 / 4) return f;
  f.result = Result::warn;
  f.measured += ": the firewall drops packets of connections above it; mqtt.max_connections is " +
                std::to_string(connections);
  f.fix =
      "sysctl -w net.netfilter.nf_conntrack_max=" + std::to_string(std::uint64_t{connections} * 2) +
      ", or no states for these ports";
  return f;
}

Finding judge_netdev_backlog(std::uint64_t dropped, std::uint64_t packets, std::uint64_t backlog) {
  Finding f{Result::ok, "netdev_max_backlog",
            std::to_string(backlog) + "; " + std::to_string(dropped) + " of " +
                std::to_string(packets) + " packets dropped since the host's start"};
  if (dropped <= packets / 100'000) return f;
  f.result = Result::warn;
  f.fix = "sysctl -w net.core.netdev_max_backlog=" +
          std::to_string(std::max<std::uint64_t>(backlog * 4, 4000));
  return f;
}

Finding judge_balancer(std::uint32_t keep_alive_max_s, std::uint32_t idle_s) {
  const std::string silent =
      keep_alive_max_s == 0
          ? "devices may be silent for their own Keep Alive"
          : "devices may be silent for " + std::to_string(keep_alive_max_s) + " s";
  Finding f{Result::ok, "load balancer",
            silent + (idle_s == 0 ? "; --balancer-idle-s N: does yours wait longer?"
                                  : ", the load balancer waits " + std::to_string(idle_s) + " s")};
  if (idle_s == 0 || (keep_alive_max_s != 0 && keep_alive_max_s < idle_s)) return f;
  f.result = Result::warn;
  f.fix = "mqtt.keep_alive_max_s: " + std::to_string(std::max(idle_s * 2 / 3, 1u)) +
          " (MQTT 5; a device of MQTT 3.1.1 needs a Keep Alive below " + std::to_string(idle_s) +
          " s), or let the load balancer wait longer";
  return f;
}

Finding judge_clock(bool synchronised, std::int64_t error_us, std::int64_t now_s,
                    std::int64_t floor_s) {
  Finding f{Result::ok, "clock",
            "synchronised, estimated error " + std::to_string(error_us / 1000) + " ms"};
  if (now_s < floor_s - kDay) {
    f.result = Result::fail;
    f.measured = "it is " + std::to_string((floor_s - now_s) / kDay) + " days before this release";
    f.fix = "set the clock (chronyc makestep): certificates and time limits of commands need it";
  } else if (!synchronised) {
    f.result = Result::warn;
    f.measured = "not synchronised, as the kernel says";
    f.fix = "run chrony or systemd-timesyncd; the hosts of a cluster must agree within 5 s";
  }
  return f;
}

Finding judge_sync(std::vector<std::uint32_t> us) {
  std::sort(us.begin(), us.end());
  const std::uint32_t p99 = us[(us.size() * 99 + 99) / 100 - 1];
  Finding f{Result::ok, "fdatasync",
            "p99 " + milliseconds(p99) + ", median " + milliseconds(us[us.size() / 2]) + " of " +
                std::to_string(us.size()) + " writes of 4 KiB"};
  if (p99 < kSlowSync_us) return f;
  f.result = p99 < kUselessSync_us ? Result::warn : Result::fail;
  f.fix =
      "put store.directory on an SSD of its own: each acknowledgement of QoS 1 waits for a sync";
  return f;
}

Finding judge_free_space(std::uint64_t bytes, std::uint64_t history_bytes) {
  Finding f{Result::ok, "free space", size_text(bytes)};
  const std::uint64_t comfortable = 2 * history_bytes + 1024 * kMiB;
  if (bytes >= comfortable) return f;
  f.result = bytes < 256 * kMiB ? Result::fail : Result::warn;
  f.fix = "free " + size_text(comfortable) + " for store.directory: history.max_bytes is " +
          size_text(history_bytes);
  return f;
}

Finding judge_certificate(const std::string& what, std::int64_t not_after_s, std::int64_t now_s) {
  const std::int64_t left_s = not_after_s - now_s;
  Finding f{Result::ok, "certificate", what + ": " + std::to_string(left_s / kDay) + " days left"};
  if (left_s >= kExpiresSoon) return f;
  f.result = left_s <= 0 ? Result::fail : Result::warn;
  if (left_s <= 0) f.measured = what + ": expired " + std::to_string(-left_s / kDay) + " days ago";
  f.fix = "replace the file; the gateway takes it without a restart";
  return f;
}

std::map<std::string, std::string> redis_info(const std::string& text) {
  std::map<std::string, std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || line.starts_with("#")) continue;
    all[line.substr(0, colon)] = line.substr(colon + 1);
  }
  return all;
}

namespace {

void judge_redis_disk(const RedisFacts& facts, std::uint32_t wait_replicas, Findings& out) {
  const std::string log = in(facts.settings, "appendonly");
  const std::string sync = in(facts.settings, "appendfsync");
  Finding f{Result::ok, "redis persistence", "appendonly " + log + ", appendfsync " + sync};
  if (log.empty()) {
    f = {Result::warn, f.check, "CONFIG GET is not allowed: not known",
         "look there: appendonly yes, appendfsync everysec or always"};
  } else if (log != "yes") {
    f.result = Result::fail;
    f.fix = "CONFIG SET appendonly yes, and in redis.conf: else its restart loses all sessions";
  } else if (sync == "no" || (sync == "everysec" && wait_replicas == 0)) {
    f.result = Result::warn;
    f.measured += ": a power loss loses what was acknowledged last";
    f.fix = "appendfsync always, or a replica and store.redis_wait_replicas: 1";
  }
  out.push_back(std::move(f));
  for (const char* status : {"aof_last_write_status", "rdb_last_bgsave_status"}) {
    const std::string said = in(facts.info, status);
    if (!said.empty() && said != "ok")
      out.push_back({Result::fail, "redis persistence", std::string(status) + " " + said,
                     "look at Redis' log and at the free space of its disk"});
  }
}

void judge_redis_memory(const RedisFacts& facts, Findings& out) {
  const std::string policy = in(facts.settings, "maxmemory-policy");
  Finding f{Result::ok, "redis eviction", "maxmemory-policy " + policy};
  if (policy.empty()) {
    f = {Result::warn, f.check, "CONFIG GET is not allowed: not known",
         "look there: maxmemory-policy noeviction"};
  } else if (policy != "noeviction") {
    f.result = Result::fail;
    f.fix = "CONFIG SET maxmemory-policy noeviction, and in redis.conf: else it drops sessions";
  }
  out.push_back(std::move(f));
  const std::uint64_t most = number(in(facts.info, "maxmemory"));
  const std::uint64_t used = number(in(facts.info, "used_memory"));
  Finding m{Result::ok, "redis memory", size_text(used) + " of " + size_text(most) + " used"};
  if (most == 0) {
    m = {Result::warn, m.check, size_text(used) + " used, maxmemory is not set",
         "set maxmemory below the memory of its host: else the kernel kills Redis when it is full"};
  } else if (used > most / 5 * 4) {
    m.result = Result::warn;
    m.fix = "raise maxmemory: a full Redis refuses writes, and acknowledgements wait";
  }
  out.push_back(std::move(m));
}

void judge_redis_replicas(const RedisFacts& facts, std::uint32_t wait_replicas, Findings& out) {
  const std::uint64_t here = number(in(facts.info, "connected_slaves"));
  const std::string least = in(facts.settings, "min-replicas-to-write");
  Finding f{Result::ok, "redis replicas",
            std::to_string(here) + " connected, store.redis_wait_replicas is " +
                std::to_string(wait_replicas) +
                (least.empty() ? "" : ", min-replicas-to-write is " + least)};
  if (in(facts.info, "role") != "master") {
    f.result = Result::fail;
    f.measured = "it is no master: role " + in(facts.info, "role");
    f.fix = "name the master in store.url, or the sentinels: redis-sentinel://";
  } else if (here < wait_replicas || here < number(least)) {
    f.result = Result::fail;
    f.fix = "start the replicas: without them Redis confirms no write, and devices wait";
  } else if (here > 0 && wait_replicas == 0) {
    f.result = Result::warn;
    f.fix = "store.redis_wait_replicas: 1, else a failover may lose acknowledged messages";
  }
  out.push_back(std::move(f));
}

}  // namespace

Findings judge_redis(const RedisFacts& facts, std::uint32_t wait_replicas) {
  Findings out{{Result::ok, "redis", "reachable, PING takes " + milliseconds(facts.ping_us)}};
  if (facts.ping_us > 5000) {
    out.back().result = Result::warn;
    out.back().fix = "put Redis near the engines: each acknowledgement waits for it";
  }
  const std::string version = in(facts.info, "redis_version");
  Finding v{Result::ok, "redis version", version.empty() ? "not known" : version};
  if (number(version) < 7) {
    v.result = Result::warn;
    v.fix = "use Redis 7, with which the gateway is tested";
  }
  out.push_back(std::move(v));
  judge_redis_disk(facts, wait_replicas, out);
  judge_redis_memory(facts, out);
  judge_redis_replicas(facts, wait_replicas, out);
  return out;
}

}  // namespace berth::gateway
