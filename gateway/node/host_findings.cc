#include "gateway/node/host_findings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <utility>

#include "gateway/edge/edge_shard.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/host_check.h"
#include "gateway/node/preflight.h"
#include "gateway/node/secret_files.h"
#include "gateway/runtime/certificates.h"
#include "gateway/runtime/child_process.h"
#include "store/redis_connection.h"
#include "store/store_access.h"

namespace berth::gateway {

using Result = Finding::Result;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

namespace {

constexpr int kWrites = 200;
constexpr int kPings = 21;
constexpr std::size_t kBlock = 4096;
constexpr long kTmpfs = 0x01021994;
constexpr std::int64_t kFloor_s = 1'764'547'200;  // 2025-12-01: this code did not exist before

std::uint32_t us_since(Clock::time_point began) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began).count());
}

// The numbers in a file of /proc or /sys; none: it is not there.
std::vector<std::uint64_t> numbers_in(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::uint64_t> all;
  for (std::uint64_t n = 0; in >> n;) all.push_back(n);
  return all;
}

std::uint64_t number_in(const std::string& path) {
  const auto all = numbers_in(path);
  return all.empty() ? 0 : all[0];
}

// One that throws std::exception is a failure; `fix_of` its text.
using FixOf = std::function<std::string(const std::string& error)>;
void attempt(Findings& out, const std::string& check, const FixOf& fix_of,
             const std::function<Finding()>& f) {
  try {
    out.push_back(f());
  } catch (const std::exception& e) {
    out.push_back({Result::fail, check, e.what(), fix_of(e.what())});
  }
}
void attempt(Findings& out, const std::string& check, const std::string& fix,
             const std::function<Finding()>& f) {
  attempt(
      out, check, [&fix](const std::string&) { return fix; }, f);
}

bool has(const std::string& text, const char* words) {
  return text.find(words) != std::string::npos;
}

struct Place {
  std::string key, host;
  std::uint16_t port = 0;
};

std::vector<Place> places_of(const Config& config, Role role) {
  std::vector<Place> all;
  for (const edge::Transport t : edge::kTransports) {
    const ListenerConfig& l = config.listener(t);
    if (role == Role::engine || !l.enabled()) continue;
    const Endpoint at = parse_endpoint(l.listen);
    all.push_back({std::string(edge::name_of(t)) + ".listen", at.host, at.port});
  }
  all.push_back({"admin.listen", config.admin.host, config.admin.port});
  if (role == Role::engine)
    all.push_back({"cluster.listen", config.cluster.listen.host, config.cluster.listen.port});
  return all;
}

// By what bind() has said.
std::string fix_of_port(const std::string& error, std::uint16_t port) {
  const auto says = [&error](int number) {
    return error.find(std::strerror(number)) != std::string::npos;
  };
  if (says(EADDRNOTAVAIL))
    return "`ip -br address` shows the addresses of this host; 0.0.0.0 stands for all of them";
  if (says(EACCES)) return "a port below 1024 needs CAP_NET_BIND_SERVICE";
  return "`ss -ltnp 'sport = :" + std::to_string(port) + "'` shows who has it";
}

void look_at_ports(const Config& config, Role role, Findings& out) {
  for (const Place& p : places_of(config, role)) {
    const std::string where = p.host + ":" + std::to_string(p.port);
    std::uint16_t taken = p.port;
    try {
      ::close(edge::open_listener(p.host, taken, false));
      out.push_back({Result::ok, "port", p.key + " " + where + " is free"});
    } catch (const std::runtime_error& e) {
      out.push_back({Result::fail, "port", p.key + ": " + e.what(), fix_of_port(e.what(), p.port)});
    }
  }
}

// Second column: dropped. Of each CPU a line of hexadecimal numbers.
Finding netdev_finding() {
  std::ifstream in("/proc/net/softnet_stat");
  std::uint64_t packets = 0, dropped = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::uint64_t first = 0, second = 0;
    words >> std::hex >> first >> second;
    packets += first;
    dropped += second;
  }
  return judge_netdev_backlog(dropped, packets, number_in("/proc/sys/net/core/netdev_max_backlog"));
}

void look_at_kernel(const Config& config, Role role, Findings& out) {
  if (role == Role::engine) return;  // no devices come to it
  runtime::raise_descriptor_limit();
  out.push_back(
      judge_open_files(config, runtime::descriptor_limit(), number_in("/proc/sys/fs/file-max")));
  const std::string net = "/proc/sys/net/";
  if (const auto n = number_in(net + "core/somaxconn"); n != 0) out.push_back(judge_backlog(n));
  std::vector<std::uint16_t> ports;
  for (const Place& p : places_of(config, role)) ports.push_back(p.port);
  if (const auto range = numbers_in(net + "ipv4/ip_local_port_range"); range.size() == 2) {
    std::ifstream in(net + "ipv4/ip_local_reserved_ports");
    std::string reserved;
    std::getline(in, reserved);
    out.push_back(judge_port_range(static_cast<std::uint32_t>(range[0]),
                                   static_cast<std::uint32_t>(range[1]), reserved, ports));
  }
  if (const auto n = number_in(net + "netfilter/nf_conntrack_max"); n != 0)
    out.push_back(judge_conntrack(n, config.edge.max_connections));
  out.push_back(netdev_finding());
}

void look_at_clock(Findings& out) {
  timex t{};
  const int state = ::adjtimex(&t);
  struct stat s {};
  const bool dated = ::stat("/proc/self/exe", &s) == 0;
  const std::int64_t floor_s = std::max<std::int64_t>(dated ? s.st_mtim.tv_sec : 0, kFloor_s);
  const bool synchronised = state >= 0 && state != TIME_ERROR && (t.status & STA_UNSYNC) == 0;
  out.push_back(judge_clock(synchronised, t.esterror, std::time(nullptr), floor_s));
}

// The directory, or the one in which it will be made.
std::string nearest_directory(const std::string& directory) {
  std::error_code ec;
  fs::path at = fs::absolute(directory, ec).lexically_normal();
  while (!fs::exists(at, ec) && at.has_relative_path()) at = at.parent_path();
  return at;
}

// Without a name, so that it is gone however this process ends.
int nameless_file(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = directory + "/.berth-check-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

Finding sync_finding(const std::string& directory, std::uint32_t limit_s) {
  const int fd = nameless_file(directory);
  if (fd < 0) throw std::runtime_error(directory + ": " + std::strerror(errno));
  const std::vector<char> block(kBlock, 'b');
  const Clock::time_point until = Clock::now() + std::chrono::seconds(limit_s);
  std::vector<std::uint32_t> us;
  bool good = true;
  while (good && us.size() < kWrites && (us.empty() || Clock::now() < until)) {
    const Clock::time_point began = Clock::now();
    good = ::write(fd, block.data(), block.size()) == static_cast<ssize_t>(block.size()) &&
           ::fdatasync(fd) == 0;
    us.push_back(us_since(began));
  }
  const int why = errno;
  ::close(fd);
  if (!good) throw std::runtime_error(directory + ": " + std::strerror(why));
  return judge_sync(std::move(us));
}

std::string fix_of_directory(const Config& config, const std::string& error) {
  if (has(error, "not a directory"))
    return "a file is in the way: name another store.directory, or move the file";
  return "install -d -o berth -g berth -m 0700 " + config.data_directory +
         ", and run the check as that user";
}

// One gateway a store.
void look_at_holder(const Config& config, Findings& out) {
  const int pid = session::holder_of(config.data_directory + "/store");
  if (pid == 0) return;
  const std::string who = pid > 0 ? "process " + std::to_string(pid) : "a process of a container";
  out.push_back({Result::fail, "store", who + " has " + config.data_directory + "/store open",
                 "stop the gateway that this process is of, or name another store.directory"});
}

std::string fix_of_redis(const std::string& error) {
  if (has(error, "WRONGPASS") || has(error, "NOAUTH") || has(error, "NOPERM"))
    return "store.url has the user and the password of Redis: redis://USER:PASSWORD@HOST:PORT "
           "(requirepass, ACL LIST)";
  if (has(error, std::strerror(ECONNREFUSED)))
    return "start Redis, or correct the port of store.url: nothing listens there";
  if (has(error, std::strerror(ETIMEDOUT)) || has(error, "timeout") || has(error, "timed out"))
    return "a firewall or NetworkPolicy may be in the way of store.url's address";
  if (has(error, "tls") || has(error, "certificate"))
    return "store.redis_ca_file has the authority of Redis' certificate, rediss:// is with TLS";
  return "start Redis, or correct store.url, its password and its certificates";
}

void look_at_disk(const Config& config, std::uint32_t limit_s, Findings& out) {
  const std::string at = nearest_directory(config.data_directory);
  attempt(
      out, "data directory",
      [&config](const std::string& error) { return fix_of_directory(config, error); },
      [&]() -> Finding {
        check_data_directory(config.data_directory);
        struct statfs kind {};
        if (::statfs(at.c_str(), &kind) == 0 && kind.f_type == kTmpfs)
          return {Result::warn, "data directory", at + " is in memory (tmpfs)",
                  "choose a directory on a disk: a restart of the host loses all sessions"};
        struct stat s {};
        const bool made = ::stat(config.data_directory.c_str(), &s) == 0;
        if (made && (s.st_mode & S_IRWXO) != 0)
          return {Result::warn, "data directory", config.data_directory + " is open to others",
                  "chmod 0700 " + config.data_directory};
        return {Result::ok, "data directory",
                config.data_directory + (made ? " can be used" : " can be made")};
      });
  look_at_holder(config, out);
  if (config.sync)
    attempt(out, "fdatasync", "give the service's user a directory that it can write",
            [&] { return sync_finding(at, limit_s); });
  struct statvfs room {};
  if (::statvfs(at.c_str(), &room) == 0)
    out.push_back(judge_free_space(std::uint64_t{room.f_bavail} * room.f_frsize,
                                   config.platform.history.max_bytes));
}

void look_at_redis(const Config& config, std::uint32_t limit_s, Findings& out) {
  attempt(out, "redis", fix_of_redis, [&]() -> Finding {
    session::RedisOptions o = redis_options(config);
    o.timeout_ms = std::min(o.timeout_ms, limit_s * 1000);
    session::RedisConnection redis(o);
    redis.connect();
    RedisFacts facts;
    std::vector<std::uint32_t> pings;
    for (int i = 0; i < kPings; ++i) {
      const Clock::time_point began = Clock::now();
      redis.call({"PING"});
      pings.push_back(us_since(began));
    }
    std::sort(pings.begin(), pings.end());
    facts.ping_us = pings[pings.size() / 2];
    facts.info = redis_info(redis.call({"INFO"}).as_text());
    for (const char* name :
         {"appendonly", "appendfsync", "maxmemory-policy", "min-replicas-to-write"}) {
      try {
        redis.connect();
        const session::RedisReply r = redis.call({"CONFIG", "GET", name});
        if (!r.as_array().empty()) facts.settings[name] = r.as_array(2)[1].as_text();
      } catch (const session::RedisError&) {  // a managed Redis does not let us ask
        redis.close();
      }
    }
    Findings all = judge_redis(facts, config.redis_wait_replicas);
    for (std::size_t i = 0; i + 1 < all.size(); ++i) out.push_back(std::move(all[i]));
    return std::move(all.back());
  });
}

void look_at_certificates(const Config& config, Findings& out) {
  std::vector<std::pair<std::string, std::string>> files{
      {"cluster.ca_file", config.cluster.tls.ca_file},
      {"cluster.cert_file", config.cluster.tls.cert_file},
      {"store.redis_ca_file", config.redis_ca_file},
      {"store.redis_cert_file", config.redis_cert_file}};
  if (config.any_device_tls()) {
    files.emplace_back("mqtts.ca_file", config.tls.ca_file);
    std::istringstream in(config.tls.cert_file);
    for (std::string one; std::getline(in, one, ',');) files.emplace_back("mqtts.cert_file", one);
  }
  for (const auto& [key, file] : files) {
    if (file.empty()) continue;
    attempt(out, "certificate", "give the service's user a PEM file that it can read",
            [&, &key = key, &file = file] {
              return judge_certificate(key + " " + file, runtime::earliest_expiry(file),
                                       std::time(nullptr));
            });
  }
}

void look_at_secrets(const Config& config, Findings& out) {
  const std::vector<std::string> open = open_secrets(config);
  for (const std::string& what : open)
    out.push_back({Result::warn, "secrets", what + " is open to others",
                   "chmod 600, or 640 with the service's group"});
  if (open.empty()) out.push_back({Result::ok, "secrets", "no secret file is open to other users"});
}

}  // namespace

Finding unread_configuration(const std::string& why) {
  return {Result::fail, "configuration", why, "correct the file; config/berth.yaml has every key"};
}

namespace {

// What a gateway that runs has taken itself.
bool is_of_one_that_runs(const Finding& f) {
  return f.check == "port" || f.check == "store" || f.check == "open files";
}

Config as_shown(const std::map<std::string, std::string>& settings) {
  Config c;
  for (const auto& [key, value] : settings) {
    if (has(value, "***")) continue;
    try {
      set_key(c, key, value);
    } catch (const ConfigError&) {  // of another release
    }
  }
  try {
    load_url_file(c);
  } catch (const ConfigError&) {  // the check of the named files says it
  }
  return c;
}

void look_at_store(const Config& config, Role role, std::uint32_t limit_s, Findings& out) {
  if (role == Role::edge) return;
  if (config.store_url.empty()) look_at_disk(config, limit_s, out);
  if (!config.store_url.empty()) look_at_redis(config, limit_s, out);
}

void look_at_all(const Config& config, Role role, std::uint32_t balancer_idle_s, Findings& out,
                 const std::function<void()>& store) {
  for (const std::string& w : config.warnings)
    out.push_back({Result::warn, "configuration", w, "correct the setting"});
  attempt(out, "configuration", "correct the file that is named", [&]() -> Finding {
    prove_named_files(config, role);
    return {Result::ok, "configuration", "it and the files that it names can be read"};
  });
  if (const std::string why = all_refused(config, role); !why.empty())
    out.push_back({Result::warn, "log-ins", why.substr(0, why.find("; ")),
                   why.substr(std::min(why.size(), why.find("; ") + 2))});
  look_at_kernel(config, role, out);
  if (role != Role::engine)
    out.push_back(judge_balancer(config.broker.keep_alive_max_s, balancer_idle_s));
  look_at_clock(out);
  store();
  look_at_certificates(config, out);
  look_at_secrets(config, out);
  look_at_ports(config, role, out);
}

}  // namespace

Findings host_findings(const Config& config, Role role, std::uint32_t limit_s,
                       std::uint32_t balancer_idle_s) {
  Findings out;
  look_at_all(config, role, balancer_idle_s, out,
              [&] { look_at_store(config, role, limit_s, out); });
  return out;
}

Findings findings_beside(const std::map<std::string, std::string>& settings, Role role,
                         std::uint32_t limit_s) {
  const Config config = as_shown(settings);
  const auto url = settings.find("store.url");
  const bool secret = url != settings.end() && has(url->second, "***") && config.store_url.empty();
  Findings out;
  look_at_all(config, role, 0, out, [&] {
    if (!secret) return look_at_store(config, role, limit_s, out);
    out.push_back({Result::warn, "redis", "not looked at: its password is not shown",
                   "berth ctl check --config FILE, with the gateway's file and environment"});
  });
  std::erase_if(out, is_of_one_that_runs);
  return out;
}

}  // namespace berth::gateway
