#include "platform/ledger.h"

#include <algorithm>

#include "base/random_id.h"
#include "platform/command_results.h"
#include "platform/platform.pb.h"

namespace berth::platform {

using session::StoredRecord;

namespace {

constexpr std::string_view kLive{"!c\0", 3};

// In memory, about.
std::size_t bytes_of(const Asked& a) {
  return 1024 + a.payload.size() + a.correlation.size() + a.response_topic.size();
}

// What one call of expire() ends: each costs writes and an event, and the turns of others wait.
constexpr std::size_t kExpireMax = 256;

// One tenant's share of what there is, so that others have room: three quarters.
std::size_t share_of(std::size_t all) {
  return all - all / 4;
}

bool in_flight(const Command& c) {
  if (c.delivery == Delivery::desired) return false;  // it is told by its document
  return c.state == State::handed || c.state == State::sent || c.state == State::received;
}

}  // namespace

std::string Ledger::device_key(std::string_view tenant, std::string_view device) {
  return joined(tenant, device);
}
bool Ledger::is_key(std::string_view key) {
  return key.starts_with(kLive) || LateResults::is_key(key);
}

// -- restore

void Ledger::restored(std::string_view key, std::string_view record) {
  if (LateResults::is_key(key)) return late_.restored(key, record);
  auto o = std::make_unique<Open>();
  if (!key.starts_with(kLive) || !decode(record, o->entry) || o->entry.command.done()) return;
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
  serials_[open.entry.serial] = &open;
  open.due = due(open.entry.command);
  due_.emplace(open.due, &open);
  hold(open.entry);
  open_[open.key] = std::move(o);
}

void Ledger::forget(std::string_view key) {
  if (LateResults::is_key(key)) return late_.forget(key);
  if (!key.starts_with(kLive)) return;
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
  const Asked& first = line.front().asked;
  records_.read(exactly(final_key(first.tenant, first.id)),
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
      w.answered({kUnreadable, nullptr, false});
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

bool Ledger::has_room(const Asked& asked) const {
  const std::size_t bytes = bytes_of(asked);
  const auto it = tenants_.find(asked.tenant);
  const Held own = it == tenants_.end() ? Held{} : it->second;
  return held_.commands < options_.open_max && held_.bytes + bytes <= options_.open_bytes_max &&
         own.commands < share_of(options_.open_max) &&
         own.bytes + bytes <= share_of(options_.open_bytes_max);
}

void Ledger::hold(const Entry& e) {
  for (Held* h : {&held_, &tenants_[e.asked.tenant]}) {
    ++h->commands;
    h->bytes += bytes_of(e.asked);
  }
}

Refusal Ledger::limits(const Asked& asked, const Terms& terms) const {
  if (!has_room(asked))
    return {429, "too_many_commands",
            "too many commands of this partition or tenant have no outcome yet"};
  const auto it = devices_.find(device_key(asked.tenant, addressee(asked)));
  const bool online = asked.located != 0 ||
                      (it != devices_.end() && it->second.where != 0 && it->second.wanted) ||
                      ports_.locate(asked.tenant, addressee(asked)) != 0;
  if (terms.delivery == Delivery::immediate && !online)
    return {409, "device_offline", "the device is not connected, and this command cannot wait"};
  const Refusal busy_part{
      429, "device_busy",
      "another command of this barrier that cannot wait, perhaps by the name of "
      "its executor or of the barrier, has no outcome yet"};
  if (terms.delivery == Delivery::immediate && asked.busy) return busy_part;
  if (it == devices_.end()) return {};
  const auto& commands = it->second.commands;
  if (commands.size() >= options_.device_open_max)
    return {429, "device_busy", "too many commands of this device have no outcome yet"};
  // Of the part that is told, by whichever name: a barrier, and its camera.
  const bool busy = std::any_of(commands.begin(), commands.end(), [&](const Open* o) {
    return o->entry.command.delivery == Delivery::immediate && o->entry.asked.child == asked.child;
  });
  if (terms.delivery == Delivery::immediate && busy) return busy_part;
  return {};
}

void Ledger::admit(Waiter& w) {
  Terms terms;
  Refusal refusal = w.terms_of(w.asked, terms);
  // A caller may name the executor of the record, which may hang behind another device.
  if (!terms.executor.empty()) w.asked.executor = terms.executor;
  if (w.asked.child.empty()) w.asked.child = terms.child;
  if (!terms.type.empty()) w.asked.type = terms.type;
  const bool state = terms.delivery == Delivery::desired;  // its payload is read by the gateway
  if (w.asked.payload.empty() || (state && !terms.payload.empty())) w.asked.payload = terms.payload;
  if (refusal.status == 0) refusal = limits(w.asked, terms);
  if (refusal.status != 0) return w.answered({std::move(refusal), nullptr, false});
  auto made = std::make_unique<Open>();
  Open& o = *made;
  o.key = joined(w.asked.tenant, w.asked.id);
  o.entry.asked = std::move(w.asked);
  o.entry.site = terms.site;
  o.entry.executor_site = terms.executor_site.empty() ? terms.site : terms.executor_site;
  serials_[o.entry.serial = new_serial()] = &o;
  o.entry.accepted_wall_ms = w.at.wall_ms;
  const std::uint32_t asked_ms = o.entry.asked.ttl_ms;
  o.entry.ttl_ms = asked_ms != 0 ? std::min(asked_ms, terms.ttl_ms) : terms.ttl_ms;
  Command& c = o.entry.command;
  c.delivery = terms.delivery;
  const base::Instant since{o.entry.asked.since_ms};
  const base::Instant from = since.ms == 0 ? w.at.now : std::min(since, w.at.now);
  c.deadline = c.delivery == Delivery::desired ? base::kNever : from.plus_ms(o.entry.ttl_ms);
  c.result_ms = terms.result_ms;
  c.log.push_back({w.at.wall_ms, State::accepted, ""});
  open_.emplace(o.key, std::move(made));
  hold(o.entry);
  Device& device = device_of(o.entry);
  device.commands.push_back(&o);  // first: a device without commands is forgotten
  if (c.delivery == Delivery::latest) replace_slot(o, device, w.at);
  ports_.accepted(o.entry);
  due_.emplace(o.due = due(c), &o);
  const std::string key = o.key;
  // Of a device that is not wanted nobody says when it goes.
  if (!device.wanted || o.entry.asked.located != 0) device.where = o.entry.asked.located;
  if (device.where == 0)
    device.where = ports_.locate(o.entry.asked.tenant, addressee(o.entry.asked));
  const Asked& asked = o.entry.asked;
  if (c.delivery == Delivery::desired &&
      (device.where != 0 || ports_.is_coming(asked.tenant, addressee(asked)))) {
    changed(o, told(c, w.at));
    if (device.where == 0) want(o.entry, device);
  } else if (device.where != 0) {
    hand_out(device, w.at);
  } else {
    want(o.entry, device);
    changed(o, wait(c, w.at));
  }
  settle(w.at);
  records_.when_durable([this, key, answered = std::move(w.answered)] {
    const auto it = open_.find(key);
    if (it != open_.end()) return answered({{}, &it->second->entry, false});
    const std::size_t nul = key.find('\0');
    find(key.substr(0, nul), key.substr(nul + 1), [answered](const Entry* e, bool unknown) {
      answered({unknown ? kUnreadable : Refusal{}, e, false});
    });
  });
}

void Ledger::durable(std::string_view tenant, std::string_view id, At at) {
  if (Open* const o = find_open(tenant, id)) o->entry.durable_wall_ms = at.wall_ms;
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
    if (o == &by || !same || in_flight(e.command)) continue;
    changed(*o, refuse(o->entry.command, Outcome::not_delivered, "replaced", "", at));
  }
}

// DESIRED: another command's part has taken its place.
void Ledger::replaced(std::string_view tenant, std::string_view id, At at) {
  Open* const o = find_open(tenant, id);
  if (o == nullptr || o->entry.command.delivery != Delivery::desired) return;
  changed(*o, take_back(o->entry.command, "replaced", at));
}

void Ledger::find(std::string_view tenant, std::string_view id, Found found) {
  if (const Open* o = find_open(tenant, id)) return found(&o->entry, false);
  if (const Entry* e = find_ended(tenant, id)) return found(e, false);
  records_.read(exactly(final_key(tenant, id)), [found = std::move(found)](auto records) {
    Entry e;
    const bool there = records && !records->empty() && decode(records->front().value, e);
    found(there ? &e : nullptr, !records);
  });
}

void Ledger::cancel(std::string_view tenant, std::string_view id, At at, Answered answered) {
  Open* const o = find_open(tenant, id);
  if (o == nullptr) {
    return find(tenant, id, [answered = std::move(answered)](const Entry* e, bool unknown) {
      if (unknown) return answered({kUnreadable, nullptr, false});
      if (e == nullptr) return answered({{404, "no_such_command", ""}, nullptr, false});
      const bool was = e->command.was_cancelled();
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

void Ledger::close_case(std::string_view tenant, std::string_view id, Entry::Closed closed,
                        Answered answered) {
  find(tenant, id,
       [this, key = joined(tenant, id), closed = std::move(closed), answered = std::move(answered)](
           const Entry* e, bool unknown) mutable {
         if (unknown) return answered({kUnreadable, nullptr, false});
         if (e == nullptr) return answered({{404, "no_such_command", ""}, nullptr, false});
         if (!e->command.done())
           return answered({{409, "not_finished", "the command has no outcome yet"}, e, true});
         const Entry* const newer = find_ended(e->asked.tenant, e->asked.id);
         Entry after = newer != nullptr ? *newer : *e;
         if (after.closed.wall_ms != 0) {
           const bool same = after.closed.by == closed.by && after.closed.note == closed.note;
           return answered(
               {same ? Refusal{}
                     : Refusal{409, "closed", "somebody has closed it: " + after.closed.by},
                &after, true});
         }
         after.closed = std::move(closed);
         put_ended(key, after);
         ports_.closed(after);
         records_.when_durable([answered = std::move(answered), after = std::move(after)] {
           answered({{}, &after, false});
         });
       });
}

// -- the device

Ledger::Device& Ledger::device_of(const Entry& e) {
  return devices_[device_key(e.asked.tenant, addressee(e.asked))];
}

// So that a tag of it can't be one of another, nor of one that has its outcome while a word of its
// edge is still to come: nobody can choose an id that gets the tag of another tenant's command.
std::uint64_t Ledger::new_serial() const {
  std::uint64_t serial = base::random_id() & kSerialMax;
  while (serial == 0 || serials_.contains(serial)) serial = (serial + 1) & kSerialMax;
  return serial;
}

void Ledger::want(const Entry& e, Device& device) {
  if (std::exchange(device.wanted, true)) return;
  ports_.wants(e.asked.tenant, addressee(e.asked), false);
}

void Ledger::want_again() {
  for (auto& [key, device] : devices_) {
    if (device.commands.empty()) continue;
    device.wanted = false;
    want(device.commands.front()->entry, device);
  }
}

void Ledger::online(const std::string& device, std::uint32_t partition, At at) {
  const auto it = devices_.find(device);
  if (it == devices_.end()) return;
  it->second.where = partition + 1;
  hand_out(it->second, at);
  settle(at);
}

// Its connection may have heard its desired state before it has subscribed to anything: what is
// retained, or what waits in its session's queue.
void Ledger::coming(const std::string& device, At at) {
  const auto it = devices_.find(device);
  if (it == devices_.end()) return;
  const std::vector<Open*> commands = it->second.commands;
  for (Open* o : commands) {
    if (o->entry.command.delivery == Delivery::desired) changed(*o, told(o->entry.command, at));
  }
  settle(at);
}

void Ledger::offline(const std::string& device, std::uint32_t partition) {
  const auto it = devices_.find(device);
  if (it != devices_.end() && it->second.where == partition + 1) it->second.where = 0;
}

// What may be, in order, as far as the device's window goes.
void Ledger::hand_out(Device& device, At at) {
  if (device.where == 0) return;
  const std::vector<Open*> commands = device.commands;
  auto flying = static_cast<std::size_t>(std::count_if(
      commands.begin(), commands.end(), [](const Open* o) { return in_flight(o->entry.command); }));
  for (Open* o : commands) {
    Command& c = o->entry.command;
    if (c.delivery == Delivery::desired) {  // by its document
      changed(*o, told(c, at));
      continue;
    }
    const bool again = c.delivery == Delivery::must && c.state == State::sent && !c.was_received;
    if (!again && c.state != State::accepted && c.state != State::waiting) continue;
    if (c.delivery != Delivery::immediate && !again && flying >= options_.in_flight_max) continue;
    const std::uint32_t before = c.attempt;
    const Change change = hand(c, at);
    if (c.attempt != before) {
      ++flying;
      o->told_in = before == 0 || o->told_in == device.where ? device.where : 0;
      ports_.dispatch({c.attempt, device.where - 1, &o->entry});
    }
    changed(*o, change);
  }
}

void Ledger::each_told(std::uint32_t partition, const std::function<void(const Entry&)>& f) const {
  for (const auto& [key, o] : open_) {
    if (in_flight(o->entry.command) && (o->told_in == 0 || o->told_in == partition + 1))
      f(o->entry);
  }
}

// -- words

void Ledger::word(std::uint64_t serial, std::uint32_t attempt, Fate fate, std::string_view code,
                  At at) {
  const auto it = serials_.find(serial);
  if (it == serials_.end()) return;
  Open& o = *it->second;
  Command& c = o.entry.command;
  // Of the attempt a tag has 8 bits.
  const std::uint32_t of = c.attempt - ((c.attempt - attempt) & 0xffu);
  Device& device = device_of(o.entry);
  Change change{};
  switch (fate) {
    case Fate::sent:
      change = platform::sent(c, of, at);
      break;
    case Fate::dropped:
      // It is not there as we believed: who wants to know is told when it comes.
      if (c.delivery != Delivery::immediate && code == "device_offline") device.where = 0;
      change = platform::dropped(c, of, code, at);
      break;
    case Fate::cut_off:
      change = platform::cut_off(c, of, code, at);
      break;
    case Fate::received:
      change = platform::received(c, of, at);
      break;
    case Fate::refused:
      change = platform::refused(c, of, code, at);
      break;
  }
  if (c.state == State::waiting) {
    want(o.entry, device);
    // Rarer and rarer: each time costs notes and a write of the record.
    const std::int64_t later_ms = kAgainMs << std::min(c.attempt == 0 ? 0 : c.attempt - 1, 4u);
    again_.emplace(at.now.plus_ms(later_ms),
                   device_key(o.entry.asked.tenant, addressee(o.entry.asked)));
  }
  changed(o, change);
  settle(at);
}

// The one command of this type that the device has been told; null: there is none, or there are
// several, and whose answer it is nobody knows.
Ledger::Open* Ledger::find_told(std::string_view tenant, std::string_view type,
                                std::string_view device) {
  const auto it = devices_.find(device_key(tenant, device));
  if (it == devices_.end()) return nullptr;
  Open* found = nullptr;
  for (Open* const o : it->second.commands) {
    const State state = o->entry.command.state;
    const bool told = state == State::handed || state == State::sent || state == State::received;
    if (!told || o->entry.asked.type != type) continue;
    if (found != nullptr) return nullptr;
    found = o;
  }
  return found;
}

void Ledger::result(std::string_view tenant, std::string_view id, std::string_view device,
                    const Result& r, At at, bool elsewhere) {
  const bool unnamed = id.starts_with(kUnnamed);
  Open* const o = unnamed ? find_told(tenant, id.substr(1), device) : find_open(tenant, id);
  if (o == nullptr && !unnamed) {
    return note_late({.tenant = std::string(tenant),
                      .id = std::string(id),
                      .device = std::string(device),
                      .result = r,
                      .at = at,
                      .elsewhere = elsewhere});
  }
  if (o == nullptr) return ports_.stray_result();
  if (addressee(o->entry.asked) != device) return ports_.stray_result();
  changed(*o, platform::result(o->entry.command, r, at));
  settle(at);
}

// The device's result is acknowledged: while the store can't be read, it is not lost.
void Ledger::note_late(LateResult late) {
  if (const Entry* e = find_ended(late.tenant, late.id)) return take_late(late, *e);
  if (!late_.take(late)) stray(late);
}

void Ledger::stray(const LateResult& late) {
  if (!late.elsewhere) ports_.stray_result();
}

void Ledger::looked_up(const LateResult& late, const Entry* stored) {
  if (stored == nullptr) return stray(late);
  const Entry* newer = find_ended(late.tenant, late.id);
  take_late(late, newer != nullptr ? *newer : *stored);
}

void Ledger::take_late(const LateResult& late, Entry e) {
  if (addressee(e.asked) != late.device) return ports_.stray_result();
  if (platform::result(e.command, late.result, late.at) != Change::late) return;
  put_ended(joined(late.tenant, late.id), e);
  ports_.late_result(e, late.result);
}

void Ledger::expire(At at) {
  std::size_t left = kExpireMax;
  for (; left != 0 && !again_.empty() && again_.begin()->first <= at.now; --left) {
    ready_.push_back(again_.begin()->second);
    again_.erase(again_.begin());
  }
  late_.expire(at.now);
  for (left = kExpireMax; left != 0 && !due_.empty() && due_.begin()->first <= at.now; --left) {
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
  records_.put(final_key(e.asked.tenant, e.asked.id), encode(e));
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
    ready_.push_back(device_key(o.entry.asked.tenant, addressee(o.entry.asked)));
    return close(o);
  }
  write(o);
  due_.erase({o.due, &o});
  due_.emplace(o.due = due(o.entry.command), &o);
}

void Ledger::close(Open& o) {
  const std::string key = o.key;
  const Asked& asked = o.entry.asked;
  const auto it = devices_.find(device_key(asked.tenant, addressee(asked)));
  if (it != devices_.end()) {
    std::erase(it->second.commands, &o);
    if (it->second.commands.empty()) {
      if (it->second.wanted) ports_.wants(asked.tenant, addressee(asked), true);
      devices_.erase(it);
    }
  }
  due_.erase({o.due, &o});
  serials_.erase(o.entry.serial);
  const auto own = tenants_.find(asked.tenant);
  for (Held* h : {&held_, &own->second}) {
    --h->commands;
    h->bytes -= bytes_of(asked);
  }
  if (own->second.commands == 0) tenants_.erase(own);
  open_.erase(key);
}

}  // namespace berth::platform
