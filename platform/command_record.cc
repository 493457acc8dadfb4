#include "platform/command_record.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "platform/platform.pb.h"

namespace berth::platform {

std::string encode(const Entry& e) {
  pb::CommandRecord r;
  const Asked& a = e.asked;
  const Command& c = e.command;
  r.set_tenant(a.tenant);
  r.set_id(a.id);
  r.set_device(a.device);
  r.set_site(e.site);
  r.set_executor_site(e.executor_site);
  r.set_serial(e.serial);
  r.set_executor(a.executor);
  r.set_child(a.child);
  r.set_type(a.type);
  r.set_payload(a.payload);
  r.set_content(a.content);
  r.set_slot(a.slot);
  r.set_caller(a.caller);
  r.set_operator_id(a.operator_id);
  r.set_operator_type(a.operator_type);
  r.set_reason(a.reason);
  r.set_trace_parent(a.trace_parent);
  r.set_response_topic(a.response_topic);
  r.set_correlation(a.correlation);
  r.set_lot(a.lot);
  r.set_lane(a.lane);
  r.set_issued_ms(a.issued_ms);
  r.set_accepted_wall_ms(e.accepted_wall_ms);
  r.set_ttl_ms(e.ttl_ms);
  r.set_delivery(static_cast<std::uint32_t>(c.delivery));
  r.set_state(static_cast<std::uint32_t>(c.state));
  r.set_outcome(static_cast<std::uint32_t>(c.outcome));
  if (c.deadline != base::kNever) r.set_deadline_ms(c.deadline.ms);
  r.set_result_ms(c.result_ms);
  if (c.was_sent()) r.set_sent_ms(c.sent_at.ms);
  r.set_attempt(c.attempt);
  r.set_unanswered(c.unanswered);
  r.set_was_received(c.was_received);
  r.set_code(c.code);
  r.set_text(c.text);
  for (const Transition& t : c.log) {
    pb::Transition* const out = r.add_log();
    out->set_wall_ms(t.wall_ms);
    out->set_state(static_cast<std::uint32_t>(t.state));
    out->set_note(t.note);
  }
  if (c.has_late_result) {
    r.set_has_late_result(true);
    r.set_late_outcome(static_cast<std::uint32_t>(c.late_result.outcome));
    r.set_late_code(c.late_result.code);
    r.set_late_text(c.late_result.text);
  }
  if (e.closed.wall_ms != 0) {
    r.set_closed_ms(e.closed.wall_ms);
    r.set_closed_by(e.closed.by);
    r.set_closed_note(e.closed.note);
  }
  return r.SerializeAsString();
}

namespace {

void read_asked(const pb::CommandRecord& r, Asked& a) {
  a.tenant = r.tenant();
  a.id = r.id();
  a.device = r.device();
  a.executor = r.executor();
  a.child = r.child();
  a.type = r.type();
  a.payload = r.payload();
  a.content = r.content();
  a.slot = r.slot();
  a.caller = r.caller();
  a.operator_id = r.operator_id();
  a.operator_type = r.operator_type();
  a.reason = r.reason();
  a.trace_parent = r.trace_parent();
  a.response_topic = r.response_topic();
  a.correlation = r.correlation();
  a.lot = r.lot();
  a.lane = r.lane();
  a.issued_ms = r.issued_ms();
  a.ttl_ms = r.ttl_ms();
  a.is_admin = r.is_admin();
  a.caller_sites.assign(r.caller_sites().begin(), r.caller_sites().end());
}

// Of letters, digits, '_', '.', '-': it stands in topics and keys.
bool is_name(std::string_view s) {
  const auto good = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  };
  return !s.empty() && s.size() <= 64 && std::all_of(s.begin(), s.end(), good);
}

}  // namespace

std::string fault_of(const pb::CommandRecord& r, Asked& out) {
  read_asked(r, out);
  struct Text {
    const char* name;
    const std::string& text;
    std::size_t max;  // bytes
  };
  for (const auto& [name, text, needed] :
       {std::tuple<const char*, const std::string&, bool>{"tenant", out.tenant, true},
        {"id", out.id, true},
        {"device", out.device, true},
        {"type", out.type, true},
        {"executor", out.executor, false},
        {"child", out.child, false}}) {
    if (!is_name(text) && (needed || !text.empty()))
      return std::string(name) + ": 1 to 64 characters of A-Z a-z 0-9 _ . -";
  }
  for (const Text& t :
       {Text{"payload", out.payload, kPayloadMax}, Text{"content", out.content, 32},
        Text{"slot", out.slot, 64}, Text{"caller", out.caller, 128},
        Text{"operator.id", out.operator_id, 64}, Text{"operator.type", out.operator_type, 64},
        Text{"reason", out.reason, 256}, Text{"lot", out.lot, 256}, Text{"lane", out.lane, 256},
        Text{"traceparent", out.trace_parent, 64}}) {
    if (t.text.size() > t.max)
      return std::string(t.name) + ": more than " + std::to_string(t.max) + " bytes";
  }
  return {};
}

bool decode_asked(const pb::CommandRecord& r, Asked& out) {
  return fault_of(r, out).empty();
}

bool decode(std::string_view record, Entry& out) {
  pb::CommandRecord r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return false;
  if (r.delivery() < 1 || r.delivery() > 5 || r.state() < 1 || r.state() > 6 || r.outcome() > 6)
    return false;
  read_asked(r, out.asked);
  out.asked.ttl_ms = 0;  // what it has got counts: Entry::ttl_ms
  out.site = r.site();
  out.executor_site = r.executor_site();
  out.serial = r.serial();
  out.accepted_wall_ms = r.accepted_wall_ms();
  out.ttl_ms = r.ttl_ms();
  Command& c = out.command;
  c.delivery = static_cast<Delivery>(r.delivery());
  c.state = static_cast<State>(r.state());
  c.outcome = static_cast<Outcome>(r.outcome());
  c.deadline = r.deadline_ms() != 0 ? base::Instant{r.deadline_ms()} : base::kNever;
  c.result_ms = r.result_ms();
  c.sent_at = r.sent_ms() != 0 ? base::Instant{r.sent_ms()} : base::kNever;
  c.attempt = r.attempt();
  c.unanswered = r.unanswered();
  c.was_received = r.was_received();
  c.code = r.code();
  c.text = r.text();
  c.log.clear();
  for (const pb::Transition& t : r.log())
    c.log.push_back({t.wall_ms(), static_cast<State>(t.state()), t.note()});
  c.has_late_result = r.has_late_result();
  c.late_result = {static_cast<Outcome>(r.late_outcome()), r.late_code(), r.late_text(), false};
  out.closed = {r.closed_ms(), r.closed_by(), r.closed_note()};
  return true;
}

}  // namespace berth::platform
