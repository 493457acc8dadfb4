#include "metrics/probe.h"

#include <algorithm>

namespace berth::metrics {
namespace {

constexpr Sample::Unit unit_of(std::string_view field) {
  return field.ends_with("_ms") ? Sample::Unit::milliseconds : Sample::Unit::one;
}

// A bound in seconds, as a decimal fraction.
std::string bound_text(std::size_t bucket) {
  const std::uint64_t us = Histogram::bound_us(bucket);
  std::string fraction = std::to_string(us % 1'000'000);
  fraction.insert(0, 6 - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return std::to_string(us / 1'000'000) + "." + fraction;
}

void put(std::vector<Sample>& out, const char* family, const char* help, const Histogram& h) {
  const auto sample = [&](Sample::Part part, std::string label, std::string value,
                          std::uint64_t n) {
    out.push_back({family, std::move(label), std::move(value), help, true, n,
                   part == Sample::Part::sum ? Sample::Unit::microseconds : Sample::Unit::one,
                   part});
  };
  std::uint64_t through = 0;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    through += h.counts[i];
    const bool last = i + 1 == Histogram::kBuckets;
    sample(Sample::Part::bucket, "le", last ? "+Inf" : bound_text(i), through);
  }
  sample(Sample::Part::sum, "", "", h.sum_us);
  sample(Sample::Part::count, "", "", through);
}

}  // namespace

#define BERTH_COUNTER(field, family, label, value, help) \
  out.push_back({family, label, value, help, true, probe.field, unit_of(#field)});
#define BERTH_GAUGE(field, family, label, value, help) \
  out.push_back({family, label, value, help, false, probe.field, unit_of(#field)});
#define BERTH_HISTOGRAM(field, family, help) put(out, family, help, probe.field);

std::vector<Sample> samples_of(const EngineProbe& probe) {
  std::vector<Sample> out;
  BERTH_ENGINE_COUNTERS(BERTH_COUNTER)
  BERTH_ENGINE_GAUGES(BERTH_GAUGE)
  BERTH_ENGINE_HISTOGRAMS(BERTH_HISTOGRAM)
  return out;
}

std::vector<Sample> samples_of(const EdgeProbe& probe) {
  std::vector<Sample> out;
  BERTH_EDGE_COUNTERS(BERTH_COUNTER)
  BERTH_EDGE_GAUGES(BERTH_GAUGE)
  BERTH_EDGE_HISTOGRAMS(BERTH_HISTOGRAM)
  return out;
}

#define BERTH_ADD(field, family, label, value, help) sum.field += one.field;
#define BERTH_ADD_HISTOGRAM(field, family, help) sum.field += one.field;
void add_counters(EngineProbe& sum, const EngineProbe& one) {
  BERTH_ENGINE_COUNTERS(BERTH_ADD)
  BERTH_ENGINE_HISTOGRAMS(BERTH_ADD_HISTOGRAM)
}

void add(EngineProbe& sum, const EngineProbe& one) {
  const std::uint64_t store_up = std::min(sum.store_up, one.store_up);
  const std::uint64_t term = std::max(sum.term, one.term);
  const std::uint64_t restore_ms = std::max(sum.restore_ms, one.restore_ms);
  add_counters(sum, one);
  BERTH_ENGINE_GAUGES(BERTH_ADD)
  sum.store_up = store_up;
  sum.term = term;
  sum.restore_ms = restore_ms;
}

void add(EdgeProbe& sum, const EdgeProbe& one) {
  const std::uint64_t gap_ms = std::max(sum.engine_gap_ms, one.engine_gap_ms);
  const std::uint64_t engine_up = sum.engine_up;
  const std::uint64_t quarantined = std::max(sum.quarantined_now, one.quarantined_now);  // the same
  BERTH_EDGE_COUNTERS(BERTH_ADD)
  BERTH_EDGE_GAUGES(BERTH_ADD)
  BERTH_EDGE_HISTOGRAMS(BERTH_ADD_HISTOGRAM)
  sum.engine_gap_ms = gap_ms;
  sum.engine_up = engine_up;
  sum.quarantined_now = quarantined;
}
#undef BERTH_ADD
#undef BERTH_ADD_HISTOGRAM

}  // namespace berth::metrics
