// Plain integers that hot code bumps; one Probe per shard, touched by its thread only. The registry
// reads a copy at scrape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "metrics/names.h"

namespace berth::metrics {

struct EngineProbe {
#define BERTH_FIELD(field, family, label, value, help) std::uint64_t field = 0;
  BERTH_ENGINE_COUNTERS(BERTH_FIELD)
  BERTH_ENGINE_GAUGES(BERTH_FIELD)
};

struct EdgeProbe {
  BERTH_EDGE_COUNTERS(BERTH_FIELD)
  BERTH_EDGE_GAUGES(BERTH_FIELD)
#undef BERTH_FIELD
};

// One exported value. What crosses the link at a scrape and what the registry serialises.
struct Sample {
  std::string family;
  std::string label;
  std::string label_value;
  std::string help;
  bool counter = false;
  std::uint64_t value = 0;
};

std::vector<Sample> samples_of(const EngineProbe& probe);
std::vector<Sample> samples_of(const EdgeProbe& probe);

// Of several engines or partitions in one process: sums; the store is up when all say so, of times
// and terms the greatest counts.
void add(EngineProbe& sum, const EngineProbe& one);
void add_counters(EngineProbe& sum, const EngineProbe& one);

// Resident bytes and CPU milliseconds of this process.
struct ProcessUsage {
  std::uint64_t resident_bytes = 0;
  std::uint64_t cpu_ms = 0;
};
ProcessUsage process_usage();

}  // namespace berth::metrics
