#include "platform/command.h"

#include <algorithm>
#include <array>

namespace berth::platform {

namespace {

void note(Command& c, State state, std::string_view why, At at) {
  c.state = state;
  if (c.log.size() == kTransitionsMax) c.log.erase(c.log.begin() + kTransitionsMax / 2);
  c.log.push_back({at.wall_ms, state, std::string(why)});
}

Change finish(Command& c, Outcome outcome, std::string_view code, At at) {
  c.outcome = outcome;
  c.code = code;
  note(c, State::done, code, at);
  return Change::finished;
}

bool too_late(const Command& c, base::Instant now) {
  return now >= c.deadline;
}

// Nobody will say more about what was handed out.
Change give_up(Command& c, At at) {
  if (c.was_sent() || c.was_received) return finish(c, Outcome::uncertain, "no_result", at);
  if (c.unanswered != 0) return finish(c, Outcome::uncertain, "no_word", at);
  return finish(c, Outcome::expired, "expired", at);
}

// A word about an attempt has come; false: it is not one of ours, or was said before.
bool answered(Command& c, std::uint32_t attempt) {
  if (attempt == 0 || attempt > c.attempt || c.unanswered == 0) return false;
  --c.unanswered;
  return true;
}

}  // namespace

bool is_refused_again(std::string_view code) {
  static constexpr std::array<std::string_view, 12> kCodes{
      "invalid",         "malformed",        "unknown_type",         "capability_missing",
      "device_disabled", "device_not_found", "executor_invalid",     "ttl_invalid",
      "ttl_too_long",    "payload_invalid",  "idempotency_conflict", "no_registry"};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

const char* name_of(Delivery d) {
  switch (d) {
    case Delivery::immediate:
      return "IMMEDIATE";
    case Delivery::latest:
      return "LATEST";
    case Delivery::queued:
      return "QUEUED";
    case Delivery::must:
      return "MUST";
    case Delivery::desired:
      return "DESIRED";
  }
  return "";
}

const char* name_of(State s) {
  switch (s) {
    case State::accepted:
      return "ACCEPTED";
    case State::waiting:
      return "WAITING";
    case State::handed:
      return "HANDED";
    case State::sent:
      return "SENT";
    case State::received:
      return "RECEIVED";
    case State::done:
      return "DONE";
  }
  return "";
}

const char* name_of(Outcome o) {
  switch (o) {
    case Outcome::none:
      return "";
    case Outcome::succeeded:
      return "SUCCEEDED";
    case Outcome::failed:
      return "FAILED";
    case Outcome::rejected:
      return "REJECTED";
    case Outcome::expired:
      return "EXPIRED";
    case Outcome::not_delivered:
      return "NOT_DELIVERED";
    case Outcome::uncertain:
      return "UNCERTAIN";
  }
  return "";
}

Change wait(Command& c, At at) {
  if (c.done() || c.state == State::waiting) return Change::none;
  if (too_late(c, at.now)) return give_up(c, at);
  note(c, State::waiting, "", at);
  return Change::recorded;
}

Change hand(Command& c, At at) {
  if (too_late(c, at.now)) return give_up(c, at);
  ++c.attempt;
  ++c.unanswered;
  note(c, State::handed, "", at);
  return Change::recorded;
}

Change told(Command& c, At at) {
  if (c.done() || c.was_sent()) return Change::none;
  c.sent_at = at.now;
  note(c, State::sent, "", at);
  return Change::recorded;
}

Change sent(Command& c, std::uint32_t attempt, At at) {
  if (!answered(c, attempt)) return Change::none;
  if (!c.was_sent()) c.sent_at = at.now;
  if (c.done()) return Change::recorded;
  if (c.state == State::handed || c.state == State::waiting) note(c, State::sent, "", at);
  return Change::recorded;
}

Change dropped(Command& c, std::uint32_t attempt, std::string_view code, At at) {
  if (!answered(c, attempt)) return Change::none;
  if (c.done() || c.state != State::handed || c.unanswered != 0) return Change::recorded;
  if (too_late(c, at.now)) return give_up(c, at);
  if (c.was_sent()) {  // MUST: an earlier attempt was written
    note(c, State::sent, code, at);
    return Change::recorded;
  }
  if (c.delivery == Delivery::immediate) return finish(c, Outcome::not_delivered, code, at);
  note(c, State::waiting, code, at);
  return Change::recorded;
}

Change received(Command& c, std::uint32_t attempt, At at) {
  const bool answers = answered(c, attempt);
  if (c.was_received) return answers ? Change::recorded : Change::none;
  c.was_received = true;
  if (!c.was_sent()) c.sent_at = at.now;
  if (!c.done()) note(c, State::received, "", at);
  return Change::recorded;
}

Change cut_off(Command& c, std::uint32_t attempt, std::string_view code, At at) {
  if (!answered(c, attempt) && (c.done() || c.state != State::sent || attempt != c.attempt))
    return Change::none;
  if (!c.was_sent()) c.sent_at = at.now;
  if (c.done()) return Change::recorded;
  if (c.delivery == Delivery::must && !too_late(c, at.now)) {
    note(c, State::waiting, code, at);  // again: once more does no harm
    return Change::recorded;
  }
  return finish(c, Outcome::uncertain, code, at);
}

Change refused(Command& c, std::uint32_t attempt, std::string_view code, At at) {
  if (!answered(c, attempt)) return Change::none;
  if (!c.was_sent()) c.sent_at = at.now;
  if (c.done()) return Change::recorded;
  return finish(c, Outcome::rejected, code, at);
}

Change result(Command& c, const Result& r, At at) {
  if (c.done()) {
    const bool same = r.outcome == c.outcome && r.code == c.code && r.text == c.text;
    if (c.has_late_result || same) return Change::none;  // said again
    c.has_late_result = true;
    c.late_result = r;
    return Change::late;
  }
  if (!c.was_sent()) c.sent_at = at.now;
  c.was_received = true;
  const Outcome o = r.outcome == Outcome::none ? Outcome::uncertain : r.outcome;
  const Change change = finish(c, o, r.code, at);
  c.text = r.text;
  return change;
}

Change take_back(Command& c, std::string_view code, At at) {
  return finish(c, c.was_sent() ? Outcome::uncertain : Outcome::not_delivered, code, at);
}

bool cancel(Command& c, At at, Change& change) {
  change = Change::none;
  if (c.delivery == Delivery::desired && !c.done()) {
    change = take_back(c, "cancelled", at);
    return true;
  }
  if (c.done() || c.was_sent() || c.was_received || c.unanswered != 0) return false;
  change = finish(c, Outcome::not_delivered, "cancelled", at);
  return true;
}

Change refuse(Command& c, Outcome outcome, std::string_view code, std::string_view text, At at) {
  const Change change = finish(c, outcome, code, at);
  c.text = text;
  return change;
}

base::Instant due(const Command& c) {
  if (c.done() || c.delivery == Delivery::desired) return base::kNever;
  if (c.delivery == Delivery::must && !c.was_received) return c.deadline;
  const bool may_be_sent = c.was_sent() || c.unanswered != 0;
  if (!may_be_sent || c.deadline == base::kNever) {
    return c.was_sent() ? c.sent_at.plus_ms(c.result_ms) : c.deadline;
  }
  if (c.was_sent()) return std::max(c.deadline, c.sent_at.plus_ms(c.result_ms));
  return c.deadline.plus_ms(kWordGraceMs);
}

Change expire(Command& c, At at) {
  if (c.done() || at.now < due(c)) return Change::none;
  return give_up(c, at);
}

}  // namespace berth::platform
