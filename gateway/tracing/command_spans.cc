#include "gateway/tracing/command_spans.h"

#include <utility>

#include "base/siphash.h"

namespace berth::gateway::tracing {

using platform::Command;
using platform::Entry;
using platform::Outcome;
using platform::State;
using platform::Transition;

namespace {

constexpr std::int64_t kNsOfMs = 1'000'000;

// No secret: every process must make the same ids.
constexpr base::SipKey kIds{0x6265727468, 0x7472616365};

std::uint64_t number_of(const Entry& e, std::string_view what) {
  std::string text(what);
  text.append(1, '\0').append(e.asked.tenant).append(1, '\0').append(e.asked.id);
  return base::siphash(kIds, text);
}

// Makes the children of one command.
class Children {
 public:
  Children(const Entry& e, const Span& parent, std::vector<Span>& out)
      : e_(e), parent_(parent), out_(out) {}

  Span& add(const char* name, std::int64_t from_ms, std::int64_t to_ms) {
    const std::string key = std::string(name) + std::to_string(out_.size());
    out_.push_back({.trace_id = parent_.trace_id,
                    .span_id = base::span_id_of(number_of(e_, key)),
                    .parent_id = parent_.span_id,
                    .name = name,
                    .start_ns = from_ms * kNsOfMs,
                    .end_ns = to_ms * kNsOfMs});
    return out_.back();
  }

 private:
  const Entry& e_;
  const Span parent_;  // a copy: `out` grows
  std::vector<Span>& out_;
};

bool is_told(State s) {
  return s == State::sent || s == State::received;
}

// The device has said what came of it.
bool has_result(const Command& c) {
  return c.outcome == Outcome::succeeded || c.outcome == Outcome::failed ||
         (c.outcome == Outcome::rejected && c.was_sent());
}

void add_way(const Entry& e, Children& children) {
  const Command& c = e.command;
  std::int64_t told_ms = 0;      // 0: not yet
  std::int64_t received_ms = 0;  // the same
  for (std::size_t i = 0; i + 1 < c.log.size(); ++i) {
    const Transition& from = c.log[i];
    const Transition& to = c.log[i + 1];
    if (from.state == State::waiting) children.add("wait", from.wall_ms, to.wall_ms);
    if (from.state == State::handed) {
      // A result may be faster than the edge's word.
      const bool quick = to.state == State::done && has_result(c);
      Span& s = children.add("send", from.wall_ms, quick ? from.wall_ms : to.wall_ms);
      s.failed = !quick && !is_told(to.state);
      if (s.failed) s.why = to.note.empty() ? c.code : to.note;
      told_ms = quick ? from.wall_ms : 0;
    }
    if (is_told(to.state) && told_ms == 0) told_ms = to.wall_ms;
    if (to.state == State::received) received_ms = to.wall_ms;
  }
  if (told_ms == 0) return;
  Span& s = children.add("device", told_ms, c.log.back().wall_ms);
  if (received_ms != 0) s.events.push_back({"received", received_ms * kNsOfMs});
  s.failed = c.outcome != Outcome::succeeded;
  if (s.failed) s.why = c.code;
}

std::vector<Attribute> attributes_of(const Entry& e) {
  const platform::Asked& a = e.asked;
  const Command& c = e.command;
  std::vector<Attribute> all{{"berth.tenant", a.tenant},
                             {"berth.site", e.site},
                             {"berth.device", a.device},
                             {"berth.command.id", a.id},
                             {"berth.command.type", a.type},
                             {"berth.command.class", std::string(name_of(c.delivery))},
                             {"berth.command.outcome", std::string(name_of(c.outcome))},
                             {"berth.command.attempts", std::int64_t{c.attempt}},
                             {"berth.command.sent", c.was_sent()}};
  if (!c.code.empty()) all.push_back({"berth.command.code", c.code});
  if (e.ttl_ms != 0) all.push_back({"berth.command.ttl_ms", std::int64_t{e.ttl_ms}});
  if (!a.executor.empty() && a.executor != a.device) all.push_back({"berth.executor", a.executor});
  if (!a.child.empty()) all.push_back({"berth.child", a.child});
  return all;
}

}  // namespace

base::Traceparent trace_of(const Entry& e) {
  if (auto given = base::parse_traceparent(e.asked.trace_parent)) return std::move(*given);
  return {base::span_id_of(number_of(e, "trace")) + base::span_id_of(number_of(e, "id")), "",
          false};
}

std::vector<Span> spans_of(const Entry& e) {
  const Command& c = e.command;
  const base::Traceparent trace = trace_of(e);
  const std::int64_t ended_ms = c.log.empty() ? e.accepted_wall_ms : c.log.back().wall_ms;
  std::vector<Span> all;
  all.push_back({.trace_id = trace.trace_id,
                 .span_id = base::span_id_of(number_of(e, "command")),
                 .parent_id = trace.span_id,
                 .name = "command " + e.asked.type,
                 .start_ns = e.accepted_wall_ms * kNsOfMs,
                 .end_ns = ended_ms * kNsOfMs,
                 .attributes = attributes_of(e),
                 .failed = c.outcome != Outcome::succeeded,
                 .why = c.code});
  Children children(e, all.front(), all);
  if (e.durable_wall_ms != 0) children.add("store", e.accepted_wall_ms, e.durable_wall_ms);
  add_way(e, children);
  return all;
}

}  // namespace berth::gateway::tracing
