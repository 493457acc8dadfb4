#include "gateway/admin/caller.h"

#include <cstdint>

#include "base/random_id.h"
#include "base/text.h"

namespace berth::gateway::admin {
namespace {

constexpr std::size_t kTraceId = 32;
constexpr std::size_t kSpanId = 16;
constexpr std::size_t kTraceparent = 55;  // of version 00: 2 + 1 + 32 + 1 + 16 + 1 + 2

std::string random_hex() {
  const std::uint64_t id = base::random_id() | 1;  // all zeros are no id
  return base::to_hex({reinterpret_cast<const char*>(&id), sizeof id});
}

bool is_hex(std::string_view s) {
  return s.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_id(std::string_view s) {
  return is_hex(s) && s.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::string Trace::traceparent() const {
  return "00-" + trace_id + "-" + span_id + (sampled ? "-01" : "-00");
}

// version "-" trace-id "-" parent-id "-" flags; a later version may add "-" and more.
Trace trace_of(std::string_view h) {
  Trace t;
  t.span_id = random_hex();
  const bool dashes = h.size() >= kTraceparent && h[2] == '-' && h[3 + kTraceId] == '-' &&
                      h[4 + kTraceId + kSpanId] == '-';
  const std::string_view version = h.substr(0, 2);
  const bool whole = dashes && is_hex(version) && version != "ff" &&
                     (h.size() == kTraceparent || (version != "00" && h[kTraceparent] == '-'));
  const std::string_view trace = whole ? h.substr(3, kTraceId) : std::string_view();
  const std::string_view span = whole ? h.substr(4 + kTraceId, kSpanId) : std::string_view();
  const std::string_view flags =
      whole ? h.substr(5 + kTraceId + kSpanId, 2) : std::string_view("-");
  if (whole && is_id(trace) && is_id(span) && is_hex(flags)) {
    t.trace_id = trace;
    t.parent_id = span;
    t.sampled = std::string_view("13579bdf").find(flags[1]) != std::string_view::npos;
  } else {
    t.trace_id = random_hex() + random_hex();
  }
  return t;
}

Caller admin_caller(std::string id) {
  return {.kind = Caller::Kind::admin,
          .id = std::move(id),
          .tenant = {},
          .may_read = true,
          .may_change = true,
          .may_command = true};
}

}  // namespace berth::gateway::admin
