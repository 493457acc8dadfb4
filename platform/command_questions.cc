#include "platform/command_questions.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "platform/platform.pb.h"
#include "protocol/link/types.h"

namespace berth::platform {

namespace {

constexpr std::uint32_t kWaitMaxMs = 60'000;
constexpr std::uint32_t kClaimsPerCommand = 4;  // an account may repeat its commands
constexpr std::size_t kWaitersMax = 10'000;

std::string answer_of(const Refusal& refusal, const Entry* e, bool before) {
  pb::CommandAnswer a;
  const bool good = refusal.status == 0;
  a.set_status(static_cast<std::uint32_t>(!good ? refusal.status : e == nullptr ? 404 : 200));
  a.set_code(good ? (e == nullptr ? "no_such_command" : "") : refusal.code);
  a.set_text(refusal.text);
  a.set_before(before);
  if (e != nullptr) a.mutable_command()->ParseFromString(encode(*e));
  return a.SerializeAsString();
}

template <class Sites>
bool sees(const Sites& sites, const std::string& site) {
  return sites.empty() || std::find(sites.begin(), sites.end(), site) != sites.end();
}

template <class Question>
bool parse(std::string_view bytes, Question& q) {
  return q.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

const Refusal kServiceRate{429, "service_rate",
                           "more commands of this account than commands.per_service_per_s"};
const Refusal kMalformed{400, "malformed", "the question can't be read"};

}  // namespace

std::uint32_t claim_home(std::string_view tenant, std::string_view id, std::uint32_t partitions) {
  return protocol::link::partition_of("c" + std::string(1, '\0') + joined(tenant, id), partitions);
}

At CommandQuestions::at() const {
  const base::Instant now = records_.now();
  return {messages_at(now), clocks_.wall_at(now).ms};
}

void CommandQuestions::tick(base::Instant now) {
  rates_.sweep(now);
  if (partitioned())
    claims_.sweep(clocks_.wall_at(now).ms - std::int64_t{86'400'000} * options_.command_keep_days);
}

void CommandQuestions::finished(const Entry& e) {
  const std::string key = joined(e.asked.tenant, e.asked.id);
  auto [from, to] = waiters_.equal_range(key);
  if (from == to) return;
  std::vector<Answered> all;
  for (auto it = from; it != to; ++it) all.push_back(std::move(it->second.answered));
  waiters_.erase(from, to);
  records_.when_durable([all = std::move(all), answer = answer_of({}, &e, false)] {
    for (const Answered& answered : all) answered(answer);
  });
}

void CommandQuestions::answer_when_done(const Ledger::Answer& a, std::uint32_t wait_ms,
                                        Answered answered) {
  const bool waits = a.entry != nullptr && !a.entry->command.done() && wait_ms != 0 &&
                     waiters_.size() < kWaitersMax;
  if (!waits) return answered(answer_of(a.refusal, a.entry, a.before));
  const base::Instant until = at().now.plus_ms(std::min(wait_ms, kWaitMaxMs));
  next_wait_ = std::min(next_wait_, until);
  waiters_.emplace(joined(a.entry->asked.tenant, a.entry->asked.id),
                   Waiter{until, std::move(answered)});
}

// Who has waited long enough is told how it stands. Each turn asks: all are looked at only when one
// of them is due.
void CommandQuestions::end_turn() {
  const base::Instant now = at().now;
  if (waiters_.empty() || next_wait_ > now) return;
  next_wait_ = base::kNever;
  std::vector<std::pair<std::string, Answered>> late;
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (it->second.until > now) {
      next_wait_ = std::min(next_wait_, it->second.until);
      ++it;
      continue;
    }
    late.emplace_back(it->first, std::move(it->second.answered));
    it = waiters_.erase(it);
  }
  for (auto& [key, answered] : late) {
    const std::size_t nul = key.find('\0');
    ledger_.find(key.substr(0, nul), key.substr(nul + 1),
                 [answered = std::move(answered)](const Entry* e, bool unknown) {
                   answered(answer_of(unknown ? kUnreadable : Refusal{}, e, false));
                 });
  }
}

// Counted for the tenant's and site's quota, and by service and device.
Refusal CommandQuestions::over_rate(const Asked& asked, const Terms& terms) {
  const base::Instant now = records_.now();
  const std::string& device = terms.executor.empty() ? asked.device : terms.executor;
  if (!asked.is_admin &&
      !rates_.take("s" + joined(asked.tenant, asked.caller), options_.commands_per_service, now))
    return kServiceRate;
  if (!rates_.take("d" + joined(asked.tenant, device), options_.commands_per_device, now))
    return {429, "device_rate", "more commands to this device than commands.per_device_per_s"};
  session::Account& account = core_.usage.accounts().of(asked.tenant, terms.site);
  if (account.command(now) != session::Quota::none)
    return {429, "quota_commands_per_s", "the tenant's or site's quota of commands is used up"};
  return {};
}

void CommandQuestions::submit(std::string_view question, Answered answered) {
  pb::SubmitQuestion q;
  Entry e;
  if (!parse(question, q) || !decode_asked(q.command(), e.asked) || ways_ == nullptr)
    return answered(answer_of(kMalformed, nullptr, false));
  e.asked.located = q.located();
  e.asked.since_ms = q.asked_ms();
  e.asked.busy = q.busy();
  submit(std::move(e.asked),
         [this, wait_ms = q.wait_ms(), answered = std::move(answered)](const Ledger::Answer& a) {
           if (a.refusal.status != 0) ++probe_.commands_refused;
           answer_when_done(a, wait_ms, answered);
         });
}

void CommandQuestions::submit_anywhere(Asked asked, std::function<void(const Refusal&)> answered) {
  const Part part = ways_ == nullptr ? Part{addressee(asked), asked.child}
                                     : ways_->part_of(asked.tenant, asked.device);
  const auto go_on = [this, answered = std::move(answered)](Asked a, Locator::Place place) {
    a.located = place.where;
    a.busy = place.busy;
    submit(std::move(a), [answered](const Ledger::Answer& answer) { answered(answer.refusal); });
  };
  if (dispatcher_.is_ready(asked.tenant, part.executor)) {
    const bool busy = locks_.is_taken(asked.tenant, part, asked.id, at().now);
    return go_on(std::move(asked), {0, busy});
  }
  const std::string tenant = asked.tenant;
  const std::string id = asked.id;
  locator_.find(tenant, part, id, records_.now(),
                [go_on, asked = std::move(asked)](Locator::Place place) { go_on(asked, place); });
}

// Of an id that was used for a device of a site that the caller may not see, nothing else is said.
void CommandQuestions::submit(Asked asked, Ledger::Answered answered) {
  auto seen = [sites = asked.caller_sites,
               answered = std::move(answered)](const Ledger::Answer& a) {
    if (a.entry == nullptr || sees(sites, a.entry->site)) return answered(a);
    answered(
        {{409, "idempotency_conflict", "this id was used for another command"}, nullptr, true});
  };
  ledger_.submit(
      std::move(asked),
      [this](const Asked& a, Terms& terms) {
        const Refusal refusal = ways_->terms(a, terms);
        if (refusal.status != 0) return refusal;
        if (!sees(a.caller_sites, terms.site))
          return Refusal{404, "device_not_found", "there is no such device"};
        if (terms.delivery == Delivery::desired && !desired_.has_room(a))
          return Refusal{429, "device_busy", "the device has 32 other desired states"};
        return over_rate(a, terms);
      },
      at(), std::move(seen));
}

void CommandQuestions::claim(std::string_view question, Answered answered) {
  pb::SubmitQuestion q;
  if (!parse(question, q)) return answered(answer_of(kMalformed, nullptr, false));
  const pb::CommandRecord& c = q.command();
  // Nobody has looked whether there is such a device, and each claim is a record that stays for
  // days. An edge of an older release does not say who asks.
  const std::uint32_t per_s = kClaimsPerCommand * options_.commands_per_service;
  if (!c.is_admin() && !c.caller().empty() &&
      !rates_.take("c" + joined(c.tenant(), c.caller()), per_s, records_.now()))
    return answered(answer_of(kServiceRate, nullptr, false));
  claims_.claim(c.tenant(), c.id(), c.content(), at().wall_ms,
                [answered = std::move(answered)](const Refusal& refusal) {
                  pb::CommandAnswer a;
                  a.set_status(static_cast<std::uint32_t>(refusal.status));
                  a.set_code(refusal.code);
                  a.set_text(refusal.text);
                  answered(a.SerializeAsString());
                });
}

void CommandQuestions::find(std::string_view question, Answered answered) {
  pb::CommandKey q;
  if (!parse(question, q)) return answered(answer_of(kMalformed, nullptr, false));
  const auto found = [this, q, answered = std::move(answered)](const Entry* e, bool unknown) {
    if (unknown) return answered(answer_of(kUnreadable, nullptr, false));
    if (e != nullptr && !sees(q.caller_sites(), e->site)) e = nullptr;
    answer_when_done({{}, e, false}, q.wait_ms(), answered);
  };
  ledger_.find(q.tenant(), q.id(), found);
}

void CommandQuestions::cancel(std::string_view question, Answered answered) {
  pb::CommandKey q;
  if (!parse(question, q)) return answered(answer_of(kMalformed, nullptr, false));
  const auto cancel_it = [this, q, answered = std::move(answered)](const Entry* e, bool unknown) {
    if (unknown) return answered(answer_of(kUnreadable, nullptr, false));
    if (e == nullptr || !sees(q.caller_sites(), e->site))
      return answered(answer_of({}, nullptr, false));
    ledger_.cancel(q.tenant(), q.id(), at(), [answered](const Ledger::Answer& a) {
      answered(answer_of(a.refusal, a.entry, a.before));
    });
  };
  ledger_.find(q.tenant(), q.id(), cancel_it);
}

void CommandQuestions::close_case(std::string_view question, Answered answered) {
  pb::CloseQuestion q;
  if (!parse(question, q)) return answered(answer_of(kMalformed, nullptr, false));
  const auto close_it = [this, q, answered = std::move(answered)](const Entry* e, bool unknown) {
    if (unknown) return answered(answer_of(kUnreadable, nullptr, false));
    if (e == nullptr || !sees(q.key().caller_sites(), e->site))
      return answered(answer_of({}, nullptr, false));
    ledger_.close_case(
        q.key().tenant(), q.key().id(), {at().wall_ms, q.by(), q.note()},
        [answered](const Ledger::Answer& a) { answered(answer_of(a.refusal, a.entry, a.before)); });
  };
  ledger_.find(q.key().tenant(), q.key().id(), close_it);
}

void CommandQuestions::list(std::string_view question, Answered answered) {
  pb::ListQuestion q;
  pb::ListAnswer failed;
  failed.set_error("the store can't be read now");
  if (!parse(question, q)) return answered(failed.SerializeAsString());
  CommandIndex::Query query{.tenant = q.tenant(), .device = q.device(), .site = q.site()};
  query.from_ms = q.from_ms();
  if (q.to_ms() != 0) query.to_ms = q.to_ms();
  query.after = q.after();
  query.count = q.count();
  query.is_wanted = [this, state = q.state(), sites = q.caller_sites(), text = q.q(),
                     closed = q.closed()](const Entry& e) {
    const Command& c = e.command;
    const bool is_closed = e.closed.wall_ms != 0;
    if (closed != pb::ListQuestion::ANY && is_closed != (closed == pb::ListQuestion::CLOSED))
      return false;
    const bool called =
        text.empty() || ways_ == nullptr || ways_->is_called(e.asked.tenant, e.asked.device, text);
    return called && sees(sites, e.site) &&
           (state.empty() || state == (c.done() ? name_of(c.outcome) : name_of(c.state)));
  };
  index_.list(std::move(query), [failed, answered = std::move(answered)](CommandIndex::Page page) {
    if (page.failed) return answered(failed.SerializeAsString());
    pb::ListAnswer out;
    for (const Entry& e : page.commands) out.add_commands()->ParseFromString(encode(e));
    for (const std::string& end : page.ends) out.add_ends(end);
    out.set_last(page.last);
    out.set_more(page.more);
    answered(out.SerializeAsString());
  });
}

std::string CommandQuestions::desired(std::string_view question) const {
  pb::LocateQuestion q;
  if (!parse(question, q)) return {};
  return desired_.document(q.tenant(), q.device(),
                           [&q](const std::string& site) { return sees(q.caller_sites(), site); });
}

std::string CommandQuestions::locate(std::string_view question) const {
  pb::LocateQuestion q;
  pb::LocateAnswer a;
  if (parse(question, q) && ways_ != nullptr) {
    const Part part = ways_->part_of(q.tenant(), q.device());
    a.set_online(!part.executor.empty() && dispatcher_.is_ready(q.tenant(), part.executor));
    a.set_busy(locks_.is_taken(q.tenant(), part, q.command_id(), at().now));
  }
  return a.SerializeAsString();
}

}  // namespace berth::platform