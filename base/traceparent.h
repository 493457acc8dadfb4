// The place of work in a trace, as it travels (W3C Trace Context). Values; any thread.
//
//   traceparent := version "-" trace-id "-" parent-id "-" flags
//   version     := 2 hex digits, not ff; one after 00 may add "-" and more
//   trace-id    := 32 hex digits, not all zeros
//   parent-id   := 16 hex digits, not all zeros
//   flags       := 2 hex digits; bit 0: sampled
// Hex digits are in lower case.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::base {

struct Traceparent {
  std::string trace_id;  // 32 hex digits
  std::string span_id;   // 16 hex digits: whose child the work is
  bool sampled = false;
};

// Nothing: `header` has another form.
std::optional<Traceparent> parse_traceparent(std::string_view header);
std::string format(const Traceparent& t);  // of version 00

// As an id of a span: 16 hex digits, never all zeros.
std::string span_id_of(std::uint64_t number);
std::string random_span_id();
std::string random_trace_id();

}  // namespace berth::base
