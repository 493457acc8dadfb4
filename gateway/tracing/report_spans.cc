#include "gateway/tracing/report_spans.h"

#include <utility>

#include "base/siphash.h"

namespace berth::gateway::tracing {

using platform::TracedReport;

namespace {

constexpr std::int64_t kReportNsOfMs = 1'000'000;

// No secret: every process must make the same ids.
constexpr base::SipKey kReportIds{0x62657274682d72, 0x7472616365};

std::string id_of(const TracedReport& r, std::string_view what) {
  std::string text(what);
  for (const std::string* part : {&r.tenant, &r.device, &r.event_id})
    text.append(1, '\0').append(*part);
  return base::span_id_of(base::siphash(kReportIds, text));
}

}  // namespace

base::Traceparent trace_of(const TracedReport& r) {
  if (auto given = base::parse_traceparent(r.traceparent)) return std::move(*given);
  return {id_of(r, "trace") + id_of(r, "id"), "", false};
}

std::string span_id_of(const TracedReport& r) {
  return id_of(r, "report");
}

Span span_of(const TracedReport& r, std::int64_t ended_wall_ms) {
  const base::Traceparent trace = trace_of(r);
  Span s{.trace_id = trace.trace_id,
         .span_id = span_id_of(r),
         // Where the gateway made the traceparent, the span is what it names, and nobody's child.
         .parent_id = trace.span_id == span_id_of(r) ? "" : trace.span_id,
         .name = "report " + r.type,
         .kind = SpanKind::server,
         .start_ns = r.read_wall_ms * kReportNsOfMs,
         .end_ns = ended_wall_ms * kReportNsOfMs,
         .attributes = {{"berth.tenant", r.tenant},
                        {"berth.site", r.site},
                        {"berth.device", r.device},
                        {"berth.event_id", r.event_id},
                        {"berth.session_epoch", static_cast<std::int64_t>(r.epoch)},
                        {"berth.replay", r.replay}}};
  if (!r.child.empty()) s.attributes.push_back({"berth.child", r.child});
  return s;
}

}  // namespace berth::gateway::tracing
