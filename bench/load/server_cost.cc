#include "bench/load/server_cost.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace berth::bench {

namespace fs = std::filesystem;

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> all;
  std::error_code ignored;
  for (const auto& e : fs::directory_iterator("/proc", ignored)) {
    const int p = std::atoi(e.path().filename().c_str());
    if (p <= 0) continue;
    std::ifstream in(e.path() / "stat");
    std::string line;
    std::getline(in, line);
    const std::size_t paren = line.rfind(')');  // its name may have any character
    char state = 0;
    int parent = 0;
    if (paren != std::string::npos &&
        std::sscanf(line.c_str() + paren + 1, " %c %d", &state, &parent) == 2 && parent == pid)
      all.push_back(p);
  }
  return all;
}

std::vector<pid_t> ServerCost::tree() const {
  std::vector<pid_t> all = roots_;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const pid_t p : children_of(all[i])) {
      if (std::find(all.begin(), all.end(), p) == all.end()) all.push_back(p);
    }
  }
  return all;
}

double ServerCost::cpu_seconds() const {
  double total = 0;
  std::error_code ignored;
  for (const pid_t p : tree()) {
    for (const auto& e : fs::directory_iterator("/proc/" + std::to_string(p) + "/task", ignored)) {
      std::ifstream in(e.path() / "schedstat");  // nanoseconds on a processor
      double ns = 0;
      if (in >> ns) total += ns / 1e9;
    }
  }
  return total;
}

std::int64_t ServerCost::resident_bytes() const {
  std::int64_t total = 0;
  for (const pid_t p : tree()) {
    std::ifstream in("/proc/" + std::to_string(p) + "/smaps_rollup");
    std::string line;
    while (std::getline(in, line)) {
      long kb = 0;
      if (std::sscanf(line.c_str(), "Private_Dirty: %ld", &kb) == 1 ||
          std::sscanf(line.c_str(), "Private_Clean: %ld", &kb) == 1)
        total += kb * 1024;
    }
  }
  return total;
}

}  // namespace berth::bench
