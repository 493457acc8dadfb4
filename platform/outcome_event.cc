#include "platform/outcome_event.h"

#include <google/protobuf/util/json_util.h>

#include "protocol/messages/envelope.pb.h"
#include "session/scope.h"

namespace berth::platform {

namespace {

void set(google::protobuf::Timestamp& t, std::int64_t ms) {
  t.set_seconds(ms / 1000);
  t.set_nanos(static_cast<int>(ms % 1000) * 1'000'000);
}

}  // namespace

std::string outcome_topic(const Entry& e) {
  return std::string(session::kTenantRoot) + e.asked.tenant + "/v1/" + e.site + "/" +
         e.asked.device + "/command/" + e.asked.id + "/result";
}

std::string outcome_event(const Entry& e, const Result* late, bool json) {
  const Command& c = e.command;
  const std::int64_t finished_ms = c.log.empty() ? e.accepted_wall_ms : c.log.back().wall_ms;
  v1::Envelope out;
  // The id of a refused request is free: another command may have it, and an outcome of its own.
  const std::string number = std::to_string(e.accepted_wall_ms);
  out.set_event_id(is_refusal(e) ? "refused-" + e.asked.id + "-" + number
                                 : "command-" + e.asked.id + (late != nullptr ? "-late" : ""));
  out.set_tenant(e.asked.tenant);
  out.set_site(e.site);
  out.set_device(e.asked.device);
  out.set_traceparent(e.asked.trace_parent);
  set(*out.mutable_received_time(), finished_ms);
  v1::CommandOutcome& o = *out.mutable_command_outcome();
  o.set_command_id(e.asked.id);
  o.set_type(e.asked.type);
  o.set_outcome(name_of(late != nullptr ? late->outcome : c.outcome));
  o.set_code(late != nullptr ? late->code : c.code);
  o.set_text(late != nullptr ? late->text : c.text);
  o.set_sent(c.was_sent());
  o.set_received(c.was_received);
  o.set_safe_to_retry(late == nullptr && c.safe_to_repeat());
  o.set_late(late != nullptr);
  o.set_executor(e.asked.executor == e.asked.device ? "" : e.asked.executor);
  o.set_child(e.asked.child);
  set(*o.mutable_accepted_time(), e.accepted_wall_ms);
  set(*o.mutable_finished_time(), finished_ms);
  o.set_reason(e.asked.reason);
  o.set_operator_id(e.asked.operator_id);
  if (!json) return out.SerializeAsString();
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = false;
  if (!google::protobuf::util::MessageToJsonString(out, &text, options).ok()) return {};
  return text;
}

}  // namespace berth::platform
