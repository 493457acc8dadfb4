// What the server under test costs, by the pid that the command line names: with its children, and
// with a second process and its children where the server is two (an edge and its engine).
#pragma once

#include <vector>

#include "bench/load/server_cost.h"

namespace berth::load {

inline int second_process = 0;  // --pid2; 0: there is none

inline bench::ServerCost cost_of(int pid) {
  std::vector<pid_t> roots{pid};
  if (second_process != 0) roots.push_back(second_process);
  return bench::ServerCost(roots);
}

inline double cpu_seconds(int pid) {
  return cost_of(pid).cpu_seconds();
}

inline long resident_bytes(int pid) {
  return static_cast<long>(cost_of(pid).resident_bytes());
}

}  // namespace berth::load
