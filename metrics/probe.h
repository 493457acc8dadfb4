// Plain integers that hot code bumps; one Probe per shard, touched by its thread only. The registry
// reads a copy at scrape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "metrics/histogram.h"
#include "metrics/names.h"

namespace berth::metrics {

struct EngineProbe {
#define BERTH_FIELD(field, family, label, value, help) std::uint64_t field = 0;
  BERTH_ENGINE_COUNTERS(BERTH_FIELD)
  BERTH_ENGINE_GAUGES(BERTH_FIELD)
#define BERTH_HISTOGRAM(field, family, help) Histogram field;
  BERTH_ENGINE_HISTOGRAMS(BERTH_HISTOGRAM)
};

struct EdgeProbe {
  BERTH_EDGE_COUNTERS(BERTH_FIELD)
  BERTH_EDGE_GAUGES(BERTH_FIELD)
  BERTH_EDGE_HISTOGRAMS(BERTH_HISTOGRAM)
#undef BERTH_HISTOGRAM
#undef BERTH_FIELD
};

// One exported value. What crosses the link at a scrape and what the registry serialises.
struct Sample {
  // Of a histogram: `family` is its name without a suffix, a bucket's label is `le`.
  enum class Part : std::uint8_t { value, bucket, sum, count };
  enum class Unit : std::uint8_t { one, milliseconds, microseconds };  // exported in seconds
  std::string family;
  std::string label;
  std::string label_value;
  std::string help;
  bool counter = false;
  std::uint64_t value = 0;
  Unit unit = Unit::one;
  Part part = Part::value;
  // As the link's versions before 4 know samples.
  bool plain() const { return unit == Unit::one && part == Part::value; }
  double exported() const {
    return static_cast<double>(value) / (unit == Unit::milliseconds   ? 1e3
                                         : unit == Unit::microseconds ? 1e6
                                                                      : 1);
  }
};

std::vector<Sample> samples_of(const EngineProbe& probe);
std::vector<Sample> samples_of(const EdgeProbe& probe);

// Of several engines or partitions in one process: sums; the store is up when all say so, of times
// and terms the greatest counts.
void add(EngineProbe& sum, const EngineProbe& one);
void add_counters(EngineProbe& sum, const EngineProbe& one);
// Of several shards: sums; the longest gap.
void add(EdgeProbe& sum, const EdgeProbe& one);

// The standard process_* metrics of this process, labelled with its role. Reads /proc.
std::vector<Sample> process_samples(const std::string& role);

}  // namespace berth::metrics
