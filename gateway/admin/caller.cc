#include "gateway/admin/caller.h"

#include <utility>

#include "base/traceparent.h"

namespace berth::gateway::admin {

std::string Trace::traceparent() const {
  return base::format({trace_id, span_id, sampled});
}

Trace trace_of(std::string_view header) {
  Trace t;
  t.span_id = base::random_span_id();
  if (auto parent = base::parse_traceparent(header)) {
    t.trace_id = std::move(parent->trace_id);
    t.parent_id = std::move(parent->span_id);
    t.sampled = parent->sampled;
  } else {
    t.trace_id = base::random_trace_id();
  }
  return t;
}

Caller admin_caller(std::string id) {
  return {.kind = Caller::Kind::admin,
          .id = std::move(id),
          .tenant = {},
          .may_read = true,
          .may_change = true,
          .may_command = true,
          .may_see_plates = true};
}

}  // namespace berth::gateway::admin
