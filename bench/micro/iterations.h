// A fixed number of iterations for bench/instructions.py: a run that chooses the number itself
// chooses it by the clock.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>

namespace berth::bench {

// ->Apply(counted): as many iterations as BERTH_MICRO_ITERATIONS says, if it is set.
inline void counted(benchmark::internal::Benchmark* b) {
  if (const char* n = std::getenv("BERTH_MICRO_ITERATIONS")) b->Iterations(std::atoll(n));
}

}  // namespace berth::bench
