// What the server under test costs, from /proc: CPU time and memory of a process and its children,
// and of a second one where the server is two (an edge and its engine).
#pragma once

#include <dirent.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace berth::load {

inline int second_process = 0;  // --pid2

inline std::vector<int> process_tree(int pid) {
  std::vector<int> all{pid};
  if (second_process != 0) all.push_back(second_process);
  if (DIR* d = opendir("/proc")) {
    while (const dirent* e = readdir(d)) {
      const int p = std::atoi(e->d_name);
      if (p <= 0) continue;
      std::ifstream in("/proc/" + std::to_string(p) + "/stat");
      std::string line;
      std::getline(in, line);
      const std::size_t paren = line.rfind(')');
      char state = 0;
      int parent = 0;
      if (paren != std::string::npos &&
          std::sscanf(line.c_str() + paren + 1, " %c %d", &state, &parent) == 2 && parent == pid)
        all.push_back(p);
    }
    closedir(d);
  }
  return all;
}

inline double cpu_seconds(int pid) {
  double total = 0;
  for (const int p : process_tree(pid)) {
    std::ifstream in("/proc/" + std::to_string(p) +
                     "/schedstat");  // nanoseconds on CPU, main thread
    DIR* d = opendir(("/proc/" + std::to_string(p) + "/task").c_str());
    if (d == nullptr) continue;
    while (const dirent* e = readdir(d)) {
      if (e->d_name[0] == '.') continue;
      std::ifstream t("/proc/" + std::to_string(p) + "/task/" + e->d_name + "/schedstat");
      double ns = 0;
      if (t >> ns) total += ns / 1e9;
    }
    closedir(d);
  }
  return total;
}

inline long resident_bytes(int pid) {
  long total = 0;
  for (const int p : process_tree(pid)) {
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

}  // namespace berth::load
