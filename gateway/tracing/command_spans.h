// The spans of a command that has its outcome, from the times in its record (milliseconds):
//
//   command TYPE   from its acceptance to its outcome; a child of the request that gave it
//     store        until the acceptance was durable; only if no engine has died meanwhile
//     wait         for the device to connect
//     send         from its way to the device's engine until the edge has written it; each attempt
//     device       from then until its result, or until nobody waited any more
//
// Ids follow from the command's, so that spans that are sent twice are the same spans. Plain
// functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/traceparent.h"
#include "gateway/tracing/span.h"
#include "platform/command_record.h"

namespace berth::gateway::tracing {

// Its traceparent; of a command without one (given over MQTT) a trace of its own, without a parent
// (span_id is empty).
base::Traceparent trace_of(const platform::Entry& e);
// REQUIRES: it has its outcome.
std::vector<Span> spans_of(const platform::Entry& e);

}  // namespace berth::gateway::tracing
