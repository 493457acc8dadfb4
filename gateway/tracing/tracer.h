// Tracing of one process: what is sampled, and the way of its spans to the collector. One per
// process, made before and destroyed after the parts that use it; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/tracing/exporter.h"
#include "gateway/tracing/options.h"
#include "gateway/tracing/sampler.h"
#include "gateway/tracing/span.h"
#include "metrics/probe.h"
#include "platform/command_traces.h"

namespace berth::gateway::tracing {

class Tracer final : public platform::CommandTraces {
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

  // -- platform::CommandTraces
  bool wants(const platform::Entry& e) const override;
  void ended(const platform::Entry& e) override;

 private:
  Sampler sampler_;
  std::string role_;
  Exporter exporter_;
};

}  // namespace berth::gateway::tracing
