// A piece of work with a begin and an end, as a collector gets it. Plain data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace berth::gateway::tracing {

// OTLP's numbers.
enum class SpanKind : std::uint8_t { internal = 1, server = 2, client = 3, producer = 4 };

struct Attribute {
  std::string key;
  std::variant<std::string, std::int64_t, bool> value;
};

struct SpanEvent {
  std::string name;
  std::int64_t at_ns = 0;
};

struct Span {
  std::string trace_id;   // 32 hex digits
  std::string span_id;    // 16 hex digits
  std::string parent_id;  // 16 hex digits; empty: the trace begins here
  std::string name;
  SpanKind kind = SpanKind::internal;
  std::int64_t start_ns = 0;  // since 1970, as the next
  std::int64_t end_ns = 0;
  std::vector<Attribute> attributes = {};
  std::vector<SpanEvent> events = {};
  bool failed = false;
  std::string why = {};  // it failed
};

}  // namespace berth::gateway::tracing
