// The standard metrics of a process, as Prometheus' own client libraries name them.
#include <dirent.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "metrics/link_names.h"
#include "metrics/memory_limit.h"
#include "metrics/probe.h"

namespace berth::metrics {
namespace {

struct Memory {
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_bytes = 0;
};

Memory memory() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  in >> total >> resident;
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return {total * page, resident * page};
}

std::uint64_t cpu_ms() {
  rusage r{};
  getrusage(RUSAGE_SELF, &r);
  const auto ms = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1000 +
           static_cast<std::uint64_t>(t.tv_usec) / 1000;
  };
  return ms(r.ru_utime) + ms(r.ru_stime);
}

std::uint64_t open_descriptors() {
  DIR* d = opendir("/proc/self/fd");
  if (d == nullptr) return 0;
  std::uint64_t n = 0;
  while (const dirent* e = readdir(d)) n += e->d_name[0] != '.' ? 1 : 0;
  closedir(d);
  return n == 0 ? 0 : n - 1;  // without the directory itself
}

// When it began, in ms since the epoch: by the kernel's clock ticks since the machine's start.
std::uint64_t start_ms() {
  std::ifstream in("/proc/self/stat");
  std::string all;
  std::getline(in, all);
  const std::size_t name_end = all.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(all.substr(name_end + 1));
  std::string word;
  for (int i = 0; i < 20 && rest >> word; ++i) {  // fields 3 to 22
  }
  const std::uint64_t ticks = std::strtoull(word.c_str(), nullptr, 10);
  std::ifstream stat("/proc/stat");
  std::uint64_t boot_s = 0;
  for (std::string line; std::getline(stat, line);) {
    if (line.starts_with("btime ")) boot_s = std::strtoull(line.c_str() + 6, nullptr, 10);
  }
  return boot_s * 1000 + ticks * 1000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
}

std::uint64_t descriptor_limit() {
  rlimit r{};
  getrlimit(RLIMIT_NOFILE, &r);
  return r.rlim_cur;
}

}  // namespace

std::vector<Sample> process_samples(const std::string& role) {
  static const std::uint64_t began_ms = start_ms();
  using Unit = Sample::Unit;
  const Memory m = memory();
  const auto gauge = [&](const char* name, const char* help, std::uint64_t v, Unit unit) {
    return Sample{name, "role", role, help, false, v, unit};
  };
  return {{"process_cpu_seconds_total", "role", role, "CPU time used, of user and system", true,
           cpu_ms(), Unit::milliseconds},
          gauge("process_resident_memory_bytes", "Resident memory", m.resident_bytes, Unit::one),
          gauge(kMemoryLimit,
                "Memory that the process may have: the least of its cgroup, its own limit and the "
                "machine's",
                memory_limit_bytes(), Unit::one),
          gauge("process_virtual_memory_bytes", "Virtual memory", m.virtual_bytes, Unit::one),
          gauge("process_start_time_seconds", "When the process began, Unix time", began_ms,
                Unit::milliseconds),
          gauge("process_open_fds", "Open descriptors", open_descriptors(), Unit::one),
          gauge("process_max_fds", "Descriptors that may be open", descriptor_limit(), Unit::one)};
}

}  // namespace berth::metrics
