#include "metrics/memory_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace berth::metrics {
namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

// Of a file with one number; `max`, or no such file: kNone.
std::uint64_t number_in(const std::string& path) {
  std::ifstream in(path);
  std::uint64_t n = 0;
  return in >> n ? n : kNone;
}

// Of the group at `path` and those above it, up to `mount`.
std::uint64_t least_above(const std::string& mount, std::string path, const char* file) {
  std::uint64_t least = kNone;
  for (;;) {
    least = std::min(least, number_in(mount + path + "/" + file));
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

// Lines of /proc/self/cgroup: HIERARCHY:CONTROLLERS:PATH; v2 has one with the number 0 and no
// controllers.
std::uint64_t limit_of_groups(const std::string& root) {
  std::ifstream in(root + "/proc/self/cgroup");
  std::uint64_t least = kNone;
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    const std::string mount = root + "/sys/fs/cgroup";
    if (controllers == ",,") least = std::min(least, least_above(mount, path, "memory.max"));
    if (controllers.find(",memory,") != std::string::npos)
      least = std::min(least, least_above(mount + "/memory", path, "memory.limit_in_bytes"));
  }
  return least;
}

std::uint64_t memory_of_machine(const std::string& root) {
  std::ifstream in(root + "/proc/meminfo");
  for (std::string word; in >> word;) {
    std::uint64_t kb = 0;
    if (word == "MemTotal:" && in >> kb) return kb * 1024;
  }
  return kNone;
}

}  // namespace

std::uint64_t memory_limit_of_host(const std::string& root) {
  const std::uint64_t least = std::min(limit_of_groups(root), memory_of_machine(root));
  return least == kNone ? 0 : least;
}

std::uint64_t memory_limit_bytes() {
  const std::uint64_t host = memory_limit_of_host("");
  rlimit own{};
  getrlimit(RLIMIT_DATA, &own);
  if (own.rlim_cur == RLIM_INFINITY) return host;
  return host == 0 ? own.rlim_cur : std::min<std::uint64_t>(host, own.rlim_cur);
}

}  // namespace berth::metrics
