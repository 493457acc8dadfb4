#include "gateway/tracing/tracer.h"

#include <unistd.h>

#include <utility>

#include "gateway/tracing/command_spans.h"
#include "metrics/link_names.h"

namespace berth::gateway::tracing {
namespace {

ExporterOptions exporter_options(const TracingOptions& options, const Tracer::Process& process) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string name = process.name.empty() ? std::string(host) : process.name;
  return {.to = options.endpoint,
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

std::vector<metrics::Sample> Tracer::samples() const {
  const Exporter::Counts n = exporter_.counts();
  const auto counter = [this](const char* family, const char* help, std::uint64_t value) {
    return metrics::Sample{family, "role", role_, help, true, value};
  };
  return {counter(metrics::kSpansExported, "Spans that the collector has taken", n.exported),
          counter(metrics::kSpansDropped,
                  "Spans that the collector did not get: the queue was full, or it was away",
                  n.dropped),
          counter(metrics::kTraceExportFailures,
                  "Requests to the collector that were refused or not answered", n.failures)};
}

bool Tracer::wants(const platform::Entry& e) const {
  const base::Traceparent trace = trace_of(e);
  return sampler_.wants(trace.sampled, trace.trace_id, e.asked.tenant, e.asked.device);
}

void Tracer::ended(const platform::Entry& e) {
  exporter_.add(spans_of(e));
}

}  // namespace berth::gateway::tracing
