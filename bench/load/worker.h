// One process of a run: its load, in step with the parent's phases.
#pragma once

#include <cstdint>

#include "bench/load/load.h"

namespace berth::bench {

class Worker {
 public:
  Worker(const Plan& plan, Shared& shared, std::uint32_t process);
  void run();  // until the parent ends the run

 private:
  void turn(std::int64_t until_ns);
  void reached(Phase p) { counts_.reached = static_cast<int>(p); }

  Shared& shared_;
  Counts& counts_;
  std::unique_ptr<Load> load_;
  Pool pool_;
  int cuts_ = 0;
};

}  // namespace berth::bench
