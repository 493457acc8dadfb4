// What the server under test costs, from /proc: CPU time and memory of processes and their
// children.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace berth::bench {

class ServerCost {
 public:
  // None: nothing is known of it.
  explicit ServerCost(std::vector<pid_t> roots) : roots_(std::move(roots)) {}
  bool known() const { return !roots_.empty(); }
  double cpu_seconds() const;
  std::int64_t resident_bytes() const;  // private to them

 private:
  std::vector<pid_t> tree() const;
  std::vector<pid_t> roots_;
};

// The children of a process, as they are now.
std::vector<pid_t> children_of(pid_t pid);

}  // namespace berth::bench
