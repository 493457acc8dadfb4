// The span `report TYPE` of a device's report: from the engine's reading until what it had to write
// is durable, which is when its acknowledgement leaves. Plain functions; any thread.
#pragma once

#include "base/traceparent.h"
#include "gateway/tracing/span.h"
#include "platform/traces.h"

namespace berth::gateway::tracing {

// Its traceparent; of a report without one a trace of its own, without a parent (span_id is empty).
base::Traceparent trace_of(const platform::TracedReport& r);
std::string span_id_of(const platform::TracedReport& r);
Span span_of(const platform::TracedReport& r, std::int64_t ended_wall_ms);

}  // namespace berth::gateway::tracing
