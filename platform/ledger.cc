#include "platform/ledger.h"

#include <algorithm>

#include "platform/platform.pb.h"

namespace berth::platform {

using session::StoredRecord;

namespace {

constexpr std::string_view kLive{"!c\0", 3};
constexpr std::string_view kFinal{"c\0", 2};

// A barrier that is opened by a camera: what counts is the device that is told.
const std::string& told(const Asked& a) {
  return a.executor.empty() ? a.device : a.executor;
}

bool in_flight(const Command& c) {
  return c.state == State::handed || c.state == State::sent || c.state == State::received;
}

}  // namespace

std::string encode(const Entry& e) {
  pb::CommandRecord r;
  const Asked& a = e.asked;
  const Command& c = e.command;
  r.set_tenant(a.tenant);
  r.set_id(a.id);
  r.set_device(a.device);
  r.set_site(e.site);
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
  return r.SerializeAsString();
}

bool decode(std::string_view record, Entry& out) {
  pb::CommandRecord r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return false;
  if (r.delivery() < 1 || r.delivery() > 4 || r.state() < 1 || r.state() > 6 || r.outcome() > 6)
    return false;
  Asked& a = out.asked;
  a.tenant = r.tenant();
  a.id = r.id();
  a.device = r.device();
  out.site = r.site();
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
  return true;
}

std::string Ledger::device_key(std::string_view tenant, std::string_view device) {
  return joined(tenant, device);
}
std::string Ledger::final_key(std::string_view tenant, std::string_view id) {
  return std::string(kFinal).append(joined(tenant, id));
}
bool Ledger::is_key(std::string_view key) {
  return key.starts_with(kLive);
}

// -- restore

void Ledger::restored(std::string_view key, std::string_view record) {
  auto o = std::make_unique<Open>();
  if (!is_key(key) || !decode(record, o->entry) || o->entry.command.done()) return;
  o->key = key.substr(kLive.size());
  Open& open = *o;
  // Restored in the order of keys; a device's commands are handed out in that of acceptance.
  auto& commands = device_of(open.entry).commands;
  const auto later = [](std::int64_t ms, const Open* other) {
    return ms < other->entry.accepted_wall_ms;
  };
  commands.insert(
      std::upper_bound(commands.begin(), commands.end(), open.entry.accepted_wall_ms, later),
      &open);
  open.due = due(open.entry.command);
  due_.emplace(open.due, &open);
  open_[open.key] = std::move(o);
}

void Ledger::forget(std::string_view key) {
  if (!is_key(key)) return;
  const auto it = open_.find(key.substr(kLive.size()));
  if (it != open_.end()) close(*it->second);
}

// -- a platform asks

Ledger::Open* Ledger::find_open(std::string_view tenant, std::string_view id) {
  const auto it = open_.find(joined(tenant, id));
  return it == open_.end() ? nullptr : it->second.get();
}

void Ledger::answer_as_before(const Waiter& w, const Entry& e) {
  if (e.asked.content == w.asked.content) return w.answered({{}, &e, true});
  w.answered(
      {{409, "idempotency_conflict", "this id was used for another command"}, nullptr, true});
}

void Ledger::submit(Asked asked, const TermsOf& terms_of, At at, Answered answered) {
  Waiter w{std::move(asked), terms_of, at, std::move(answered)};
  if (const Open* o = find_open(w.asked.tenant, w.asked.id)) return answer_as_before(w, o->entry);
  if (const Entry* e = find_ended(w.asked.tenant, w.asked.id)) return answer_as_before(w, *e);
  const std::string key = joined(w.asked.tenant, w.asked.id);
  const Refusal busy{503, "busy_store", "too many commands are being looked up"};
  if (asking_.size() >= options_.asking_max && !asking_.contains(key))
    return w.answered({busy, nullptr, false});
  std::vector<Waiter>& line = asking_[key];
  if (line.size() >= options_.line_max) return w.answered({busy, nullptr, false});
  line.push_back(std::move(w));
  if (line.size() > 1) return;  // the first has asked
  records_.read(exactly(std::string(kFinal) + key),
                [this, key](auto found) { decide(key, std::move(found)); });
}

void Ledger::decide(std::string_view key, base::result<std::vector<StoredRecord>> found) {
  const auto it = asking_.find(key);
  if (it == asking_.end()) return;
  std::vector<Waiter> line = std::move(it->second);
  asking_.erase(it);
  Entry before;
  const bool known = found && !found->empty() && decode(found->front().value, before);
  for (Waiter& w : line) {
    if (!found) {
      w.answered({{503, "store_unavailable", "the store can't be read now"}, nullptr, false});
    } else if (known) {
      answer_as_before(w, before);
    } else if (const Open* o = find_open(w.asked.tenant, w.asked.id)) {
      answer_as_before(w, o->entry);  // the one before it in the line
    } else if (const Entry* e = find_ended(w.asked.tenant, w.asked.id)) {
      answer_as_before(w, *e);
    } else {
      admit(w);
    }
  }
}

Refusal Ledger::limits(const Asked& asked, const Terms& terms) const {
  if (open_.size() >= options_.open_max)
    return {429, "too_many_commands", "too many commands of this partition have no outcome yet"};
  const auto it = devices_.find(device_key(asked.tenant, told(asked)));
  const bool online = it != devices_.end() && it->second.online;
  if (terms.delivery == Delivery::immediate && !online)
    return {409, "device_offline", "the device is not connected, and this command cannot wait"};
  if (it == devices_.end()) return {};
  const auto& commands = it->second.commands;
  if (commands.size() >= options_.device_open_max)
    return {429, "device_busy", "too many commands of this device have no outcome yet"};
  const bool busy = std::any_of(commands.begin(), commands.end(), [&](const Open* o) {
    return o->entry.command.delivery == Delivery::immediate &&
           o->entry.asked.device == asked.device && o->entry.asked.child == asked.child;
  });
  if (terms.delivery == Delivery::immediate && busy)
    return {409, "busy", "another command that cannot wait has no outcome yet"};
  return {};
}

void Ledger::admit(Waiter& w) {
  Terms terms;
  Refusal refusal = w.terms_of(w.asked, terms);
  if (refusal.status == 0) refusal = limits(w.asked, terms);
  if (refusal.status != 0) return w.answered({std::move(refusal), nullptr, false});
  auto made = std::make_unique<Open>();
  Open& o = *made;
  o.key = joined(w.asked.tenant, w.asked.id);
  o.entry.asked = std::move(w.asked);
  o.entry.site = terms.site;
  o.entry.accepted_wall_ms = w.at.wall_ms;
  const std::uint32_t asked_ms = o.entry.asked.ttl_ms;
  o.entry.ttl_ms = asked_ms != 0 ? std::min(asked_ms, terms.ttl_ms) : terms.ttl_ms;
  Command& c = o.entry.command;
  c.delivery = terms.delivery;
  c.deadline = w.at.now.plus_ms(o.entry.ttl_ms);
  c.result_ms = terms.result_ms;
  c.log.push_back({w.at.wall_ms, State::accepted, ""});
  open_.emplace(o.key, std::move(made));
  Device& device = device_of(o.entry);
  if (c.delivery == Delivery::latest) replace_slot(o, device, w.at);
  device.commands.push_back(&o);
  due_.emplace(o.due = due(c), &o);
  write(o);
  const std::string key = o.key;
  if (device.online) {
    hand_out(device, w.at);
  } else {
    changed(o, wait(c, w.at));
  }
  settle(w.at);
  records_.when_durable([this, key, answered = std::move(w.answered)] {
    const auto it = open_.find(key);
    if (it != open_.end()) return answered({{}, &it->second->entry, false});
    const std::size_t nul = key.find('\0');
    find(key.substr(0, nul), key.substr(nul + 1), [answered](const Entry* e) {
      answered({{}, e, false});
    });
  });
}

// LATEST: what has not been handed out yet is of no use any more.
void Ledger::replace_slot(const Open& by, Device& device, At at) {
  const Asked& a = by.entry.asked;
  const std::vector<Open*> commands = device.commands;
  for (Open* o : commands) {
    const Entry& e = o->entry;
    const bool same = e.command.delivery == Delivery::latest && e.asked.type == a.type &&
                      e.asked.slot == a.slot && e.asked.device == a.device &&
                      e.asked.child == a.child;
    if (!same || in_flight(e.command)) continue;
    changed(*o, refuse(o->entry.command, Outcome::not_delivered, "replaced", "", at));
  }
}

void Ledger::find(std::string_view tenant, std::string_view id, Found found) {
  if (const Open* o = find_open(tenant, id)) return found(&o->entry);
  if (const Entry* e = find_ended(tenant, id)) return found(e);
  records_.read(exactly(final_key(tenant, id)), [found = std::move(found)](auto records) {
    Entry e;
    const bool there = records && !records->empty() && decode(records->front().value, e);
    found(there ? &e : nullptr);
  });
}

void Ledger::cancel(std::string_view tenant, std::string_view id, At at, Answered answered) {
  Open* const o = find_open(tenant, id);
  if (o == nullptr) {
    return find(tenant, id, [answered = std::move(answered)](const Entry* e) {
      if (e == nullptr) return answered({{404, "no_such_command", ""}, nullptr, false});
      const bool was = e->command.code == "cancelled";
      answered(
          {was ? Refusal{} : Refusal{409, "finished", "the command has its outcome"}, e, true});
    });
  }
  Change change{};
  const Entry before = o->entry;
  if (!platform::cancel(o->entry.command, at, change))
    return answered({{409, "too_late", "the command may be on its way"}, &before, true});
  Entry after = o->entry;
  changed(*o, change);
  settle(at);
  records_.when_durable([answered = std::move(answered), after = std::move(after)] {
    answered({{}, &after, false});
  });
}

// -- the device

Ledger::Device& Ledger::device_of(const Entry& e) {
  return devices_[device_key(e.asked.tenant, told(e.asked))];
}

void Ledger::online(const std::string& device, At at) {
  Device& d = devices_[device];
  d.online = true;
  hand_out(d, at);
  settle(at);
}

void Ledger::offline(const std::string& device) {
  const auto it = devices_.find(device);
  if (it == devices_.end()) return;
  it->second.online = false;
  if (it->second.commands.empty()) devices_.erase(it);
}

// What may be, in order, as far as the device's window goes.
void Ledger::hand_out(Device& device, At at) {
  if (!device.online) return;
  const std::vector<Open*> commands = device.commands;
  auto flying = static_cast<std::size_t>(std::count_if(
      commands.begin(), commands.end(), [](const Open* o) { return in_flight(o->entry.command); }));
  for (Open* o : commands) {
    Command& c = o->entry.command;
    const bool again = c.delivery == Delivery::must && c.state == State::sent && !c.was_received;
    if (!again && c.state != State::accepted && c.state != State::waiting) continue;
    if (c.delivery != Delivery::immediate && !again && flying >= options_.in_flight_max) continue;
    const std::uint32_t before = c.attempt;
    const Change change = hand(c, at);
    if (c.attempt != before) {
      ++flying;
      ports_.dispatch({c.attempt, &o->entry});
    }
    changed(*o, change);
  }
}

// -- words

void Ledger::sent(std::string_view tenant, std::string_view id, std::uint32_t attempt, At at) {
  if (Open* o = find_open(tenant, id)) changed(*o, platform::sent(o->entry.command, attempt, at));
  settle(at);
}
void Ledger::dropped(std::string_view tenant, std::string_view id, std::uint32_t attempt,
                     std::string_view code, At at) {
  if (Open* o = find_open(tenant, id))
    changed(*o, platform::dropped(o->entry.command, attempt, code, at));
  settle(at);
}
void Ledger::cut_off(std::string_view tenant, std::string_view id, std::uint32_t attempt, At at) {
  if (Open* o = find_open(tenant, id))
    changed(*o, platform::cut_off(o->entry.command, attempt, at));
  settle(at);
}
void Ledger::received(std::string_view tenant, std::string_view id, At at) {
  if (Open* o = find_open(tenant, id)) changed(*o, platform::received(o->entry.command, at));
  settle(at);
}

void Ledger::result(std::string_view tenant, std::string_view id, std::string_view device,
                    const Result& r, At at) {
  Open* const o = find_open(tenant, id);
  if (o == nullptr) return note_late(tenant, id, device, r, at);
  if (told(o->entry.asked) != device) return;
  changed(*o, platform::result(o->entry.command, r, at));
  settle(at);
}

void Ledger::note_late(std::string_view tenant, std::string_view id, std::string_view device,
                       const Result& r, At at) {
  const auto take = [this, device = std::string(device), r, at](Entry e) {
    if (told(e.asked) != device || platform::result(e.command, r, at) != Change::late) return;
    put_ended(joined(e.asked.tenant, e.asked.id), e);
    ports_.late_result(e, r);
  };
  if (const Entry* e = find_ended(tenant, id)) return take(*e);
  records_.read(exactly(final_key(tenant, id)), [this, take](auto records) {
    Entry e;
    if (!records || records->empty() || !decode(records->front().value, e)) return;
    const Entry* newer = find_ended(e.asked.tenant, e.asked.id);
    take(newer != nullptr ? *newer : e);
  });
}

void Ledger::expire(At at) {
  while (!due_.empty() && due_.begin()->first <= at.now) {
    Open& o = *due_.begin()->second;
    const Change change = platform::expire(o.entry.command, at);
    if (change == Change::none) {  // it was put off
      due_.erase(due_.begin());
      due_.emplace(o.due = due(o.entry.command), &o);
      continue;
    }
    changed(o, change);
  }
  settle(at);
}

// -- what has changed

void Ledger::put_ended(const std::string& key, const Entry& e) {
  records_.put(std::string(kFinal) + key, encode(e));
  Ended& ended = ended_[key];
  ended.entry = e;
  ++ended.writes;
  records_.when_durable([this, key] {
    const auto it = ended_.find(key);
    if (it != ended_.end() && --it->second.writes == 0) ended_.erase(it);
  });
}

const Entry* Ledger::find_ended(std::string_view tenant, std::string_view id) const {
  const auto it = ended_.find(joined(tenant, id));
  return it == ended_.end() ? nullptr : &it->second.entry;
}

void Ledger::settle(At at) {
  while (!ready_.empty()) {
    const auto it = devices_.find(ready_.back());
    ready_.pop_back();
    if (it != devices_.end()) hand_out(it->second, at);
  }
}

void Ledger::write(const Open& o) {
  records_.put(std::string(kLive) + o.key, encode(o.entry));
}

void Ledger::changed(Open& o, Change change) {
  if (change == Change::none) return;
  if (change == Change::finished) {
    records_.remove(std::string(kLive) + o.key);
    ports_.finished(o.entry);
    put_ended(o.key, o.entry);
    ready_.push_back(device_key(o.entry.asked.tenant, told(o.entry.asked)));
    return close(o);
  }
  write(o);
  due_.erase({o.due, &o});
  due_.emplace(o.due = due(o.entry.command), &o);
}

void Ledger::close(Open& o) {
  const std::string key = o.key;
  const auto it = devices_.find(device_key(o.entry.asked.tenant, told(o.entry.asked)));
  if (it != devices_.end()) {
    std::erase(it->second.commands, &o);
    if (it->second.commands.empty() && !it->second.online) devices_.erase(it);
  }
  due_.erase({o.due, &o});
  open_.erase(key);
}

}  // namespace berth::platform
