#include "gateway/engine/report_traces.h"

#include <utility>

namespace berth::gateway::engine {

std::string ReportTraces::read(const session::Scope& who, std::uint64_t epoch, base::Instant now,
                               const protocol::messages::EnvelopeView& e,
                               std::string_view made_id) {
  platform::TracedReport r{.tenant = who.who().tenant,
                           .site = std::string(who.site()),
                           .device = who.who().name,
                           .child = std::string(e.child),
                           .type = std::string(e.type),
                           .event_id = std::string(e.event_id.empty() ? made_id : e.event_id),
                           .traceparent = std::string(e.traceparent),
                           .epoch = epoch,
                           .replay = e.replay,
                           .read_wall_ms = now.ms};
  // Telemetry that wants no acknowledgement has no id: its span's ids are of this engine only.
  if (r.event_id.empty())
    r.event_id =
        std::to_string(epoch) + "-at-" + std::to_string(now.ms) + "-" + std::to_string(++unnamed_);
  std::string goes_on = traces_.report_trace(r);
  const bool sampled = !goes_on.empty();
  if (!sampled || goes_on == r.traceparent) {
    goes_on.clear();
  } else {
    r.traceparent = goes_on;
  }
  if (sampled) {
    read_ = std::move(r);
  } else {
    read_.reset();
  }
  return goes_on;
}

}  // namespace berth::gateway::engine
