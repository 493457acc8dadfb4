#include "gateway/uplink/sink_spans.h"

#include "base/siphash.h"
#include "base/traceparent.h"
#include "gateway/uplink/facts.h"

namespace berth::gateway::uplink {
namespace {

constexpr std::int64_t kNsOfMs = 1'000'000;

// No secret: every engine must make the same ids.
constexpr base::SipKey kUplinkIds{0x62657274682d75, 0x706c696e6b};

std::string id_of(const std::string& uplink, const Upward& m) {
  return base::span_id_of(
      base::siphash(kUplinkIds, uplink + '\0' + m.id + (m.replay ? "/replay" : "")));
}

// Reading JSON costs more than a look at its bytes.
bool may_say_its_trace(const Upward& m) {
  const Body body = body_of(content_type_of(m.properties));
  return body == Body::protobuf ||
         (body == Body::json && m.payload.find("\"traceparent\"") != std::string::npos);
}

}  // namespace

void SinkSpans::took(const Upward& m, std::int64_t wall_ns) {
  if (open_.size() >= kOpenMax || !may_say_its_trace(m)) return;
  const Facts f = facts_of(m);
  const auto trace = base::parse_traceparent(f.traceparent);
  if (!trace || !sampler_.wants(trace->sampled, trace->trace_id, f.tenant, f.device)) return;
  tracing::Span s{.trace_id = trace->trace_id,
                  .span_id = id_of(uplink_, m),
                  .parent_id = trace->span_id,
                  .name = "uplink " + uplink_,
                  .kind = tracing::SpanKind::producer,
                  .start_ns = wall_ns,
                  .end_ns = wall_ns,
                  .attributes = {{"berth.tenant", f.tenant},
                                 {"berth.site", f.site},
                                 {"berth.device", f.device},
                                 {"berth.uplink.kind", kind_},
                                 {"berth.uplink.id", m.id},
                                 {"berth.what", f.what},
                                 {"berth.event_id", f.event_id},
                                 {"berth.replay", m.replay}}};
  if (!f.child.empty()) s.attributes.push_back({"berth.child", f.child});
  if (f.received_time_ms != 0 && !m.replay)
    s.attributes.push_back({"berth.uplink.waited_ms", wall_ns / kNsOfMs - f.received_time_ms});
  open_.insert_or_assign({m.generation, m.seq}, Open{std::move(s), m.expires});
}

std::optional<tracing::Span> SinkSpans::ended(std::uint32_t generation, std::uint64_t seq,
                                              std::int64_t wall_ns, Clock::time_point now,
                                              const std::string& why) {
  auto node = open_.extract({generation, seq});
  if (node.empty()) return std::nullopt;
  tracing::Span s = std::move(node.mapped().span);
  s.end_ns = wall_ns;
  s.why = why.empty() && node.mapped().expires <= now ? "its expiry has passed" : why;
  s.failed = !s.why.empty();
  return s;
}

}  // namespace berth::gateway::uplink
