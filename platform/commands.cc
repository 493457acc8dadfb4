#include "platform/commands.h"

#include <algorithm>
#include <utility>

#include "base/random_id.h"
#include "platform/command_results.h"
#include "platform/platform.pb.h"
#include "protocol/link/types.h"
#include "session/principal_key.h"

namespace berth::platform {

using session::Finished;
using session::Session;

namespace {

// The device of a session; false: it is not a registered device's.
bool device_of(const Session& s, std::string& tenant, std::string& device) {
  const std::string_view key = session::principal_of(s.client_id);
  if (!session::is_registered(key) || !session::is_device(key)) return false;
  session::Principal who = session::principal_from(key);
  tenant = std::move(who.tenant);
  device = std::move(who.name);
  return true;
}

// By this connection or one before. What expires, is denied or can't be sent ends when it is about
// to be sent, or unwritten at the edge: not by this connection, although its number counts as sent.
bool may_have_been_sent(const Session& s, std::uint64_t seq, Finished how) {
  if (s.channel == nullptr) return seq <= s.flow().sent_max;
  const bool unsent =
      how == Finished::expired || how == Finished::denied || how == Finished::unsendable;
  return seq <= s.channel->resend_through || (!unsent && seq <= s.flow().sent_seq);
}

bool parse(std::string_view bytes, pb::Note& note) {
  return note.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

Commands::Commands(session::Context& cx, session::Core& core, Records& records, Outcomes& outcomes)
    : Room(cx),
      core_(core),
      records_(records),
      outcomes_(outcomes),
      ledger_({}, records, *this),
      dispatcher_(cx, core, records, *this),
      index_(records, ledger_, {options_.command_keep_days, options_.command_keep_bytes}),
      requests_(
          records,
          [this](Asked asked, std::function<void(const Refusal&)> answered) {
            questions_.submit_anywhere(std::move(asked), std::move(answered));
          },
          [this](const pb::Request& r, const Refusal& why) { refused(r, why); }),
      locator_(*this, options_.partition, options_.partitions),
      router_(*this, options_.partition, options_.partitions),
      locks_(records),
      desired_(
          records,
          [this](const std::string& topic, const std::string& document) {
            const session::MessageView m{
                .topic = topic, .payload = document, .forwarded = {}, .qos = 1, .retain = true};
            core_.wills.distribute(m, records_.now(), [] {});
          }),
      questions_(cx, core, records, {ledger_, dispatcher_, index_, locator_, desired_, locks_}) {}

void Commands::use(const CommandWays& ways) {
  ways_ = &ways;
  dispatcher_.use(ways);
  router_.use(ways);
  questions_.use(ways);
}

// -- restored

bool Commands::is_key(std::string_view key) {
  return Ledger::is_key(key) || Dispatcher::is_key(key) || CommandIndex::is_key(key) ||
         Requests::is_key(key) || Desired::is_key(key) || Claims::is_key(key) ||
         PartLocks::is_key(key);
}

void Commands::restored(std::string_view key, std::string_view value) {
  if (Ledger::is_key(key)) return ledger_.restored(key, value);
  if (Dispatcher::is_key(key)) return dispatcher_.restored(key, value);
  if (Requests::is_key(key)) return requests_.restored(key, value);
  if (Desired::is_key(key)) return desired_.restored(key, value);
  if (Claims::is_key(key)) return questions_.claims().restored(value);
  if (PartLocks::is_key(key)) return locks_.restored(key, value);
  index_.restored(value);
}

void Commands::forget(std::string_view key) {
  if (Ledger::is_key(key)) return ledger_.forget(key);
  if (Dispatcher::is_key(key)) dispatcher_.forget(key);
  if (Requests::is_key(key)) requests_.forget(key);
  if (Desired::is_key(key)) desired_.forget(key);
  if (PartLocks::is_key(key)) locks_.forget(key);
}

// -- from the engine

void Commands::forget_devices(const std::function<bool(std::string_view principal_key)>& gone) {
  std::vector<std::pair<std::string, std::string>> all;
  desired_.each([&](std::string_view tenant, std::string_view device) {
    const session::Principal p{std::string(tenant), session::Role::device, std::string(device)};
    if (gone(p.key())) all.emplace_back(tenant, device);
  });
  for (const auto& [tenant, device] : all) {
    for (const std::string& id : desired_.removed(tenant, device))
      ledger_.cancel(tenant, id, at(), [](const Ledger::Answer&) {});
  }
}

void Commands::review_places(std::string_view tenant) {
  reviews_[std::string(tenant)].clear();
}

void Commands::review_some() {
  if (reviews_.empty() || ways_ == nullptr) return;
  const auto it = reviews_.begin();
  if (!desired_.review(it->first, it->second, *ways_)) reviews_.erase(it);
}

At Commands::at() const {
  const base::Instant now = records_.now();
  return {messages_at(now), clocks_.wall_at(now).ms};
}

void Commands::attached_all(base::Instant now) {
  serving_ = true;
  expire_from_ = now.plus_ms(kReplayMs);
  ledger_.want_again();
  act_on_notes();  // so that the ledger knows which devices are connected before it is asked
  requests_.go_on(ways_, at());
  if (!partitioned()) return;
  pb::Note note;
  const std::uint64_t number = std::max<std::uint64_t>(base::random_id(), 1);
  note.mutable_restarted()->set_number(number);
  router_.begin(number, at().now);
  for (std::uint32_t p = 0; p < options_.partitions; ++p) {
    if (p != options_.partition) tell(p, note);
  }
  router_.tell_again(ledger_, options_.partition, number);
}

// What was noted, and what follows from that in this partition. A note that is told meanwhile is
// acted on here too; each makes at most a few more.
void Commands::act_on_notes() {
  while (!noted_.empty() || !to_self_.empty()) {
    for (const auto& act_on : std::exchange(noted_, {})) act_on();
    for (const std::string& bytes : std::exchange(to_self_, {})) {
      pb::Note note;
      if (parse(bytes, note)) act(note, options_.partition);
    }
  }
}

void Commands::end_turn(base::Instant) {
  if (!serving_) return;
  act_on_notes();
  if (records_.now() >= expire_from_ && ledger_.next_due() <= at().now) ledger_.expire(at());
  review_some();
  questions_.end_turn();
  locator_.expire(records_.now());
}

void Commands::tick(base::Instant now) {
  if (!serving_) return;
  dispatcher_.tick(now);
  router_.sweep(at().now);
  locks_.sweep(at().now);
  index_.sweep(clocks_.wall_at(now).ms, questions_.claims().bytes());
  questions_.tick(now);
  probe_.commands_open = ledger_.open();
  probe_.desired_pending = desired_.not_in_step();
  probe_.command_records_bytes = index_.kept_bytes() + questions_.claims().bytes();
  probe_.command_records_swept = index_.swept() + questions_.claims().swept();
}

base::Instant Commands::next_due() const {
  const base::Instant due = ledger_.next_due();
  return due == base::kNever ? due : std::max(due.plus_ms(-clocks_.messages), expire_from_);
}

void Commands::note(std::uint32_t source, std::string_view bytes) {
  pb::Note note;
  if (parse(bytes, note)) act(note, source);
}

void Commands::act(const pb::Note& note, std::uint32_t source) {
  switch (note.body_case()) {
    case pb::Note::kDispatch:
      hand_out(note.dispatch());
      break;
    case pb::Note::kWord: {
      const pb::Word& w = note.word();
      const auto act_on = [&] {
        ledger_.word(serial_of_tag(w.tag()), attempt_of_tag(w.tag()), static_cast<Fate>(w.fate()),
                     w.code(), at());
      };
      // As Dispatcher::told_written(): a commit of its own would stand before that of the answer.
      if (static_cast<Fate>(w.fate()) == Fate::sent) {
        records_.unhurried(act_on);
      } else {
        act_on();
      }
      break;
    }
    case pb::Note::kResult: {
      const pb::ResultNote& r = note.result();
      const Result result{static_cast<Outcome>(r.outcome()), r.code(), r.text(), r.repeated()};
      ledger_.result(r.tenant(), r.command_id(), r.device(), result, at(), r.elsewhere());
      break;
    }
    case pb::Note::kWants:
      dispatcher_.wants(source, note.wants().tenant(), note.wants().device(),
                        note.wants().no_more());
      break;
    case pb::Note::kWhereabouts: {
      const pb::Whereabouts& w = note.whereabouts();
      const std::string key = Ledger::device_key(w.tenant(), w.device());
      if (w.online()) {
        ledger_.online(key, source, at());
      } else if (w.coming()) {
        ledger_.coming(key, at());
      } else {
        ledger_.offline(key, source);
      }
      break;
    }
    case pb::Note::kLocate: {
      pb::Note answer;
      answer.mutable_located()->set_number(note.locate().number());
      const pb::Locate& l = note.locate();
      answer.mutable_located()->set_online(dispatcher_.is_ready(l.tenant(), l.device()));
      answer.mutable_located()->set_busy(
          locks_.is_taken(l.tenant(), {l.device(), l.child()}, l.command_id(), at().now));
      tell(source, answer);
      break;
    }
    case pb::Note::kLocated:
      locator_.answered(note.located().number(), source, note.located().online(),
                        note.located().busy());
      break;
    case pb::Note::kRequest:
      requests_.take(note.request(), ways_, at());
      break;
    case pb::Note::kRestarted:
      ledger_.want_again();
      if (note.restarted().number() != 0)
        router_.tell_again(ledger_, source, note.restarted().number());
      break;
    case pb::Note::kTold:
      router_.told(source, note.told(), at().now);
      break;
    default:
      break;
  }
}

// Between the question where the executor is and this note another command may have come.
void Commands::hand_out(const pb::Dispatch& d) {
  Entry e;
  if (!decode(d.command().SerializeAsString(), e)) return;
  const bool shared = e.command.delivery == Delivery::immediate &&
                      router_.has_several_homes(e.asked.tenant, addressee(e.asked));
  if (shared && !locks_.take(d.tag(), e, at().now))
    return tell_dropped(home_of_tag(d.tag()), d.tag(), "device_busy");
  router_.dispatched(d, at().now);
  dispatcher_.dispatch(d.tag(), e, records_.now());
}

void Commands::tell_dropped(std::uint32_t home, std::uint64_t tag, const char* code) {
  pb::Note lost;
  lost.mutable_word()->set_tag(tag);
  lost.mutable_word()->set_fate(static_cast<std::uint32_t>(Fate::dropped));
  lost.mutable_word()->set_code(code);
  tell(home, lost);
}

// A result is durable with the message that says it.
void Commands::result(const session::Scope& device, const session::MessageView& m) {
  if (device.who().role != session::Role::device) return;
  std::string id;
  Result r;
  if (!read_result(m.topic, m.payload, id, r)) return;
  locks_.answered(device.who().tenant, device.who().name, id);
  if (!router_.result(device.who().tenant, device.who().name, id, r, at().now))
    ++probe_.command_results_stray;
}

// Its PUBLISH is acknowledged when the request is durable: here, or in the queue to its home.
void Commands::request(const session::Scope& service, const session::MessageView& m) {
  pb::Note note;
  if (!read_request(service, m, *note.mutable_request())) return;
  note.mutable_request()->set_taken_ms(at().now.ms);
  const pb::Request& r = note.request();
  const std::uint32_t home = home_of(r.tenant(), r.device(), options_.partitions);
  if (home == options_.partition) return act(note, home);
  tell(home, note);
}

void Commands::refused(const pb::Request& request, const Refusal& why) {
  ++probe_.commands_refused;
  Entry e;
  e.asked.tenant = request.tenant();
  e.asked.device = request.device();
  e.asked.id = request.id();
  e.asked.type = request.type();
  e.asked.response_topic = request.response_topic();
  e.asked.correlation = request.correlation();
  e.site = request.site();
  e.accepted_wall_ms = at().wall_ms;
  e.command.log.push_back({at().wall_ms, State::accepted, ""});
  refuse(e.command, Outcome::rejected, why.code, why.text, at());
  outcomes_.finished(e);
}

// -- events

void Commands::came_or_went(const Session& s) {
  std::string tenant;
  std::string device;
  if (!dispatcher_.any_wanted() || !device_of(s, tenant, device)) return;
  noted_.push_back([this, tenant, device] { dispatcher_.whereabouts(tenant, device); });
}

void Commands::finished(const Session& s, std::uint64_t seq, Finished how) {
  if (!dispatcher_.has_queued(s.id)) return;
  const bool sent = may_have_been_sent(s, seq, how);
  noted_.push_back([this, id = s.id, seq, how, sent] { dispatcher_.finished(id, seq, how, sent); });
}

// What may have been sent can't be told from what was: sent_max is reserved ahead.
void Commands::ended(const Session& s) {
  if (!dispatcher_.has_queued(s.id)) return;
  noted_.push_back([this, id = s.id, sent = s.flow().sent_max] { dispatcher_.ended(id, sent); });
}

std::uint64_t Commands::edge_of(std::uint32_t link) const {
  return core_.connections.edges()[link].id;
}

void Commands::told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) {
  noted_.push_back([this, conn, tag, fate] { dispatcher_.told(conn, tag, fate); });
}
void Commands::pending(base::ConnId, std::uint64_t tag) {
  noted_.push_back([this, tag] { dispatcher_.pending(tag); });
}
void Commands::listed(std::uint32_t link) {
  noted_.push_back([this, edge = edge_of(link)] { dispatcher_.listed(edge); });
}
void Commands::lost(std::uint32_t link) {
  noted_.push_back([this, edge = edge_of(link)] { dispatcher_.lost(edge); });
}
void Commands::gone(std::uint32_t link) {
  noted_.push_back([this, edge = edge_of(link)] { dispatcher_.gone(edge); });
}

// -- LedgerPorts, Notes

void Commands::count_outcome(const Entry& e) {
  const Command& c = e.command;
  std::uint64_t* const counters[] = {nullptr,
                                     &probe_.commands_succeeded,
                                     &probe_.commands_failed,
                                     &probe_.commands_rejected,
                                     &probe_.commands_expired,
                                     &probe_.commands_not_delivered,
                                     &probe_.commands_uncertain};
  if (c.outcome != Outcome::none) ++*counters[static_cast<std::size_t>(c.outcome)];
  if (c.delivery == Delivery::immediate)
    probe_.command.observe_ns((c.log.back().wall_ms - e.accepted_wall_ms) * 1'000'000);
}

void Commands::dispatch(const Dispatch& d) {
  const Entry& e = *d.entry;
  pb::Note note;
  pb::Dispatch& out = *note.mutable_dispatch();
  out.set_tag(tag_of(options_.partition, e.serial, d.attempt));
  out.mutable_command()->ParseFromString(encode(e));
  out.mutable_command()->clear_log();
  if (tell(d.partition, note) == 0) tell_dropped(options_.partition, out.tag(), "peer_queue_full");
}

std::uint32_t Commands::locate(std::string_view tenant, std::string_view device) {
  return dispatcher_.is_ready(tenant, device) ? options_.partition + 1 : 0;
}

void Commands::wants(std::string_view tenant, std::string_view device, bool no_more) {
  pb::Note note;
  pb::Wants& w = *note.mutable_wants();
  w.set_tenant(std::string(tenant));
  w.set_device(std::string(device));
  w.set_no_more(no_more);
  for (std::uint32_t p = 0; p < options_.partitions; ++p) tell(p, note);
}

std::uint64_t Commands::tell(std::uint32_t partition, const pb::Note& note) {
  if (note.has_word()) {
    const pb::Word& w = note.word();
    router_.word(w);
    locks_.word(w.tag(), static_cast<Fate>(w.fate()), at().now);
  }
  if (partition == options_.partition) {
    // In the batch of the message that says it: its acknowledgement waits for that.
    if (note.has_result()) {
      act(note, partition);
      return kSelf;
    }
    to_self_.push_back(note.SerializeAsString());
    return kSelf;
  }
  const std::uint64_t n = core_.put_note(partition, note.SerializeAsString());
  if (n == 0) ++probe_.command_notes_lost;
  return n;
}

void Commands::accepted(const Entry& e) {
  ++probe_.commands_accepted;
  index_.accepted(e);
  outcomes_.accepted(e);
  if (e.command.delivery != Delivery::desired) return;
  std::string replaced;
  desired_.set(e, at().wall_ms, replaced);
  if (replaced.empty()) return;
  noted_.push_back(
      [this, tenant = e.asked.tenant, replaced] { ledger_.replaced(tenant, replaced, at()); });
}

void Commands::finished(const Entry& e) {
  count_outcome(e);
  if (e.command.delivery == Delivery::desired) {
    if (e.command.outcome == Outcome::succeeded) desired_.reported(e);
    if (e.command.was_cancelled()) desired_.clear(e, at().wall_ms);
  }
  index_.ended(e);
  outcomes_.finished(e);
  questions_.finished(e);
}

void Commands::stray_result() {
  ++probe_.command_results_stray;
}

void Commands::late_result(const Entry& e, const Result& r) {
  ++probe_.command_results_late;
  if (e.command.delivery == Delivery::desired && r.outcome == Outcome::succeeded)
    desired_.reported(e);
  outcomes_.late_result(e, r);
}

}  // namespace berth::platform
