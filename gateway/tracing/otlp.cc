#include "gateway/tracing/otlp.h"

#include <algorithm>
#include <charconv>

#include "gateway/tracing/otlp.pb.h"

namespace berth::gateway::tracing {
namespace {

constexpr int kError = 2;  // of Status
constexpr std::uint32_t kSampled = 1;

std::string bytes_of(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned v = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, v, 16);
    out.push_back(static_cast<char>(v));
  }
  return out;
}

// At a boundary of UTF-8: OTLP's strings are UTF-8, and an invalid one spoils the whole request.
std::string cut_text(const std::string& text) {
  std::size_t n = std::min(text.size(), kTextMax);
  while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xc0u) == 0x80u) --n;
  return text.substr(0, n);
}

void put(pb::KeyValue& out, const Attribute& a) {
  out.set_key(a.key);
  if (const auto* text = std::get_if<std::string>(&a.value)) {
    out.mutable_value()->set_string_value(cut_text(*text));
  } else if (const auto* number = std::get_if<std::int64_t>(&a.value)) {
    out.mutable_value()->set_int_value(*number);
  } else {
    out.mutable_value()->set_bool_value(std::get<bool>(a.value));
  }
}

void put(pb::Span& out, const Span& s) {
  out.set_trace_id(bytes_of(s.trace_id));
  out.set_span_id(bytes_of(s.span_id));
  out.set_parent_span_id(bytes_of(s.parent_id));
  out.set_name(cut_text(s.name));
  out.set_kind(static_cast<int>(s.kind));
  out.set_start_time_unix_nano(static_cast<std::uint64_t>(s.start_ns));
  out.set_end_time_unix_nano(static_cast<std::uint64_t>(std::max(s.end_ns, s.start_ns)));
  out.set_flags(kSampled);
  for (const Attribute& a : s.attributes) put(*out.add_attributes(), a);
  for (const SpanEvent& e : s.events) {
    pb::Event& event = *out.add_events();
    event.set_name(e.name);
    event.set_time_unix_nano(static_cast<std::uint64_t>(e.at_ns));
  }
  if (!s.failed) return;
  out.mutable_status()->set_code(kError);
  out.mutable_status()->set_message(cut_text(s.why));
}

}  // namespace

std::string otlp_request(const std::vector<Attribute>& process, const std::vector<Span>& spans) {
  pb::ExportRequest request;
  pb::ResourceSpans& of_process = *request.add_resource_spans();
  for (const Attribute& a : process) put(*of_process.mutable_resource()->add_attributes(), a);
  pb::ScopeSpans& scope = *of_process.add_scope_spans();
  scope.mutable_scope()->set_name("berth");
  for (const Span& s : spans) put(*scope.add_spans(), s);
  return request.SerializeAsString();
}

std::uint64_t rejected_in(std::string_view answer) {
  pb::ExportAnswer said;
  if (!said.ParseFromArray(answer.data(), static_cast<int>(answer.size()))) return 0;
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(said.partial_success().rejected_spans(), 0));
}

}  // namespace berth::gateway::tracing
