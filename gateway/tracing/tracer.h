// Tracing of one process: what is sampled, and the way of its spans to the collector. One per
// process, made before and destroyed after the parts that use it; any thread.
//
// It remembers the last traced command of each bucket of berth_command_seconds, as an exemplar.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/tracing/exporter.h"
#include "gateway/tracing/options.h"
#include "gateway/tracing/sampler.h"
#include "gateway/tracing/span.h"
#include "metrics/probe.h"
#include "platform/traces.h"

namespace berth::gateway::tracing {

// Of the exporter of a process.
std::vector<metrics::Sample> samples_of(const Exporter::Counts& n, const std::string& role);

class Tracer final : public platform::Traces {
 public:
  struct Process {
    std::string role;  // "edge", "engine"
    std::string version;
    std::string name;                                 // of the instance; empty: the host's
    std::chrono::milliseconds flush_max = kFlushMax;  // ExporterOptions
  };
  // Null: tracing is off, and costs whoever would use it a look at a null pointer.
  static std::unique_ptr<Tracer> make(const TracingOptions& options, const Process& process);
  Tracer(const TracingOptions& options, const Process& process);

  const Sampler& sampler() const { return sampler_; }
  void add(std::vector<Span> spans) { exporter_.add(std::move(spans)); }
  std::vector<metrics::Sample> samples() const;

  // -- platform::Traces
  bool wants(const platform::Entry& e) const override;
  void ended(const platform::Entry& e) override;
  std::string report_trace(const platform::TracedReport& r) const override;
  void reported(const platform::TracedReport& r, std::int64_t wall_ms) override;

 private:
  struct Exemplar {
    std::string trace_id;  // empty: none yet
    std::uint64_t took_us = 0;
    std::int64_t at_wall_ms = 0;
  };
  void remember(const platform::Entry& e, const std::string& trace_id);

  Sampler sampler_;
  std::string role_;
  Exporter exporter_;
  mutable std::mutex mutex_;  // of what follows
  std::array<Exemplar, metrics::Histogram::kBuckets> exemplars_;
};

}  // namespace berth::gateway::tracing
