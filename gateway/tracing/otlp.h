// Spans as the bytes of an OTLP request, and what its answer says. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/tracing/span.h"

namespace berth::gateway::tracing {

inline constexpr std::size_t kTextMax = 256;  // bytes of one text of a span; more is cut

// Of `process`: attributes of the process that has made the spans.
std::string otlp_request(const std::vector<Attribute>& process, const std::vector<Span>& spans);
// How many spans of a request that was answered with 200 the collector did not take.
std::uint64_t rejected_in(std::string_view answer);

}  // namespace berth::gateway::tracing
