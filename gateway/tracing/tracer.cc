#include "gateway/tracing/tracer.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "gateway/tracing/command_spans.h"
#include "gateway/tracing/report_spans.h"
#include "metrics/link_names.h"

namespace berth::gateway::tracing {
namespace {

ExporterOptions exporter_options(const TracingOptions& options, const Tracer::Process& process) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string name = process.name.empty() ? std::string(host) : process.name;
  return {.to = options.endpoint,
          .ca_file = options.ca_file,
          .headers_file = options.headers_file,
          .process = {{"service.name", options.service_name},
                      {"service.version", process.version},
                      {"service.instance.id", name + "/" + process.role},
                      {"host.name", std::string(host)},
                      {"process.pid", std::int64_t{::getpid()}},
                      {"berth.role", process.role}},
          .flush_max = process.flush_max};
}

}  // namespace

std::unique_ptr<Tracer> Tracer::make(const TracingOptions& options, const Process& process) {
  return options.enabled() ? std::make_unique<Tracer>(options, process) : nullptr;
}

Tracer::Tracer(const TracingOptions& options, const Process& process)
    : sampler_(options.share, options.devices),
      role_(process.role),
      exporter_(exporter_options(options, process)) {}

std::vector<metrics::Sample> samples_of(const Exporter::Counts& n, const std::string& role) {
  const auto counter = [&role](const char* family, const char* help, std::uint64_t value) {
    return metrics::Sample{family, "role", role, help, true, value};
  };
  return {counter(metrics::kSpansExported, "Spans that the collector has taken", n.exported),
          counter(metrics::kSpansDropped,
                  "Spans that the collector did not get: the queue was full, or it was away",
                  n.dropped),
          counter(metrics::kTraceExportFailures,
                  "Requests to the collector that were refused or not answered", n.failures)};
}

std::vector<metrics::Sample> Tracer::samples() const {
  std::vector<metrics::Sample> all = samples_of(exporter_.counts(), role_);
  const std::lock_guard lock(mutex_);
  for (const Exemplar& e : exemplars_) {
    if (e.trace_id.empty()) continue;
    all.push_back({metrics::kCommandExemplar, "trace_id_and_ms",
                   e.trace_id + " " + std::to_string(e.at_wall_ms), "", true, e.took_us,
                   metrics::Sample::Unit::microseconds});
  }
  return all;
}

bool Tracer::wants(const platform::Entry& e) const {
  const base::Traceparent trace = trace_of(e);
  return sampler_.wants(trace.sampled, trace.trace_id, e.asked.tenant, e.asked.device);
}

void Tracer::ended(const platform::Entry& e) {
  std::vector<Span> spans = spans_of(e);
  // Of the commands that the histogram has.
  if (e.command.delivery == platform::Delivery::immediate) remember(e, spans.front().trace_id);
  exporter_.add(std::move(spans));
}

void Tracer::remember(const platform::Entry& e, const std::string& trace_id) {
  const std::int64_t at_ms = e.command.log.back().wall_ms;
  const auto took_us =
      static_cast<std::uint64_t>(std::max<std::int64_t>(at_ms - e.accepted_wall_ms, 0)) * 1000;
  const std::lock_guard lock(mutex_);
  exemplars_[metrics::Histogram::bucket_of(took_us)] = {trace_id, took_us, at_ms};
}

std::string Tracer::report_trace(const platform::TracedReport& r) const {
  const base::Traceparent trace = trace_of(r);
  if (!sampler_.wants(trace.sampled, trace.trace_id, r.tenant, r.device)) return {};
  if (!trace.span_id.empty()) return r.traceparent;
  return base::format({trace.trace_id, span_id_of(r), true});
}

void Tracer::reported(const platform::TracedReport& r, std::int64_t wall_ms) {
  exporter_.add({span_of(r, wall_ms)});
}

}  // namespace berth::gateway::tracing
