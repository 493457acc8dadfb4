#include "base/traceparent.h"

#include "base/random_id.h"
#include "base/text.h"

namespace berth::base {
namespace {

constexpr std::size_t kTraceId = 32;
constexpr std::size_t kSpanId = 16;
constexpr std::size_t kTraceparent = 55;  // of version 00: 2 + 1 + 32 + 1 + 16 + 1 + 2

bool is_hex(std::string_view s) {
  return s.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_trace_id(std::string_view s) {
  return is_hex(s) && s.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::optional<Traceparent> parse_traceparent(std::string_view h) {
  const bool dashes = h.size() >= kTraceparent && h[2] == '-' && h[3 + kTraceId] == '-' &&
                      h[4 + kTraceId + kSpanId] == '-';
  if (!dashes) return std::nullopt;
  const std::string_view version = h.substr(0, 2);
  const bool ends = h.size() == kTraceparent || (version != "00" && h[kTraceparent] == '-');
  const std::string_view trace = h.substr(3, kTraceId);
  const std::string_view span = h.substr(4 + kTraceId, kSpanId);
  const std::string_view flags = h.substr(5 + kTraceId + kSpanId, 2);
  const bool good = ends && is_hex(version) && version != "ff" && is_trace_id(trace) &&
                    is_trace_id(span) && is_hex(flags);
  if (!good) return std::nullopt;
  const bool sampled = std::string_view("13579bdf").find(flags[1]) != std::string_view::npos;
  return Traceparent{std::string(trace), std::string(span), sampled};
}

std::string format(const Traceparent& t) {
  return "00-" + t.trace_id + "-" + t.span_id + (t.sampled ? "-01" : "-00");
}

std::string span_id_of(std::uint64_t number) {
  if (number == 0) number = 1;
  return to_hex({reinterpret_cast<const char*>(&number), sizeof number});
}

std::string random_span_id() {
  return span_id_of(random_id());
}

std::string random_trace_id() {
  return random_span_id() + random_span_id();
}

}  // namespace berth::base
