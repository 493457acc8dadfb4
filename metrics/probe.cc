#include "metrics/probe.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace berth::metrics {

std::vector<Sample> samples_of(const EngineProbe& probe) {
  std::vector<Sample> out;
#define BERTH_COUNTER(field, family, label, value, help) \
  out.push_back({family, label, value, help, true, probe.field});
#define BERTH_GAUGE(field, family, label, value, help) \
  out.push_back({family, label, value, help, false, probe.field});
  BERTH_ENGINE_COUNTERS(BERTH_COUNTER)
  BERTH_ENGINE_GAUGES(BERTH_GAUGE)
  return out;
}

std::vector<Sample> samples_of(const EdgeProbe& probe) {
  std::vector<Sample> out;
  BERTH_EDGE_COUNTERS(BERTH_COUNTER)
  BERTH_EDGE_GAUGES(BERTH_GAUGE)
  return out;
}

#define BERTH_ADD(field, family, label, value, help) sum.field += one.field;
void add_counters(EngineProbe& sum, const EngineProbe& one) {
  BERTH_ENGINE_COUNTERS(BERTH_ADD)
}

void add(EngineProbe& sum, const EngineProbe& one) {
  const EngineProbe before = sum;
  BERTH_ENGINE_COUNTERS(BERTH_ADD)
  BERTH_ENGINE_GAUGES(BERTH_ADD)
  sum.store_up = std::min(before.store_up, one.store_up);
  sum.term = std::max(before.term, one.term);
  sum.restore_ms = std::max(before.restore_ms, one.restore_ms);
}
#undef BERTH_ADD

ProcessUsage process_usage() {
  ProcessUsage u;
  if (std::FILE* f = std::fopen("/proc/self/statm", "r")) {
    unsigned long total = 0;
    unsigned long resident = 0;
    if (std::fscanf(f, "%lu %lu", &total, &resident) == 2) {
      u.resident_bytes = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    }
    std::fclose(f);
  }
  rusage r{};
  getrusage(RUSAGE_SELF, &r);
  const auto ms = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1000 +
           static_cast<std::uint64_t>(t.tv_usec) / 1000;
  };
  u.cpu_ms = ms(r.ru_utime) + ms(r.ru_stime);
  return u;
}

}  // namespace berth::metrics
