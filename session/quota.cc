#include "session/quota.h"

#include <algorithm>

namespace berth::session {

const char* name_of(Quota q) {
  static constexpr const char* kNames[] = {"none",           "connections",   "connects_per_s",
                                           "messages_per_s", "bytes_per_s",   "sessions",
                                           "queue_bytes",    "commands_per_s"};
  return kNames[static_cast<std::size_t>(q)];
}

UsageOf of_a_second(const UsageOf& u) {
  UsageOf out = u;
  for (const UsageField& f : kUsageFields) {
    if (f.counter) out.usage.*f.value = u.per_s.*f.value;
  }
  return out;
}

std::string text_of(Quota q) {
  return std::string("quota: ") + name_of(q);
}

const std::array<UsageField, 11> kUsageFields{
    {{"connections", &Usage::connections, false},
     {"sessions", &Usage::sessions, false},
     {"queue_bytes", &Usage::queue_bytes, false},
     {"connects", &Usage::connects, true},
     {"messages", &Usage::messages, true},
     {"bytes", &Usage::bytes, true},
     {"commands", &Usage::commands, true},
     {"slowed", &Usage::slowed, true},
     {"dropped", &Usage::dropped, true},
     {"refused", &Usage::refused, true},
     {"retained_messages", &Usage::retained_messages, false}}};

Usage& Usage::operator+=(const Usage& o) {
  for (const UsageField& f : kUsageFields) this->*f.value += o.*f.value;
  return *this;
}

bool Bucket::open(std::uint64_t per_s, base::Instant now) {
  if (per_s == 0) return true;
  const double most = static_cast<double>(per_s);
  if (at_ms_ < 0) left_ = most;
  const double passed_s = at_ms_ < 0 ? 0 : static_cast<double>(now.ms - at_ms_) / 1000;
  left_ = std::min(most, left_ + std::max(passed_s, 0.0) * most);
  at_ms_ = now.ms;
  return left_ > 0;
}

void Account::second() {
  for (const UsageField& f : kUsageFields) {
    if (f.counter) per_s.*f.value = usage.*f.value - before_.*f.value;
  }
  before_ = usage;
}

void Account::count(std::uint64_t Usage::*what, std::int64_t change) {
  for (Account* a = this; a != nullptr; a = a->above_)
    a->usage.*what = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, static_cast<std::int64_t>(a->usage.*what) + change));
}

// Of a rate: what the others leave, and not less than our part.
std::uint64_t Account::share(std::uint64_t limit, std::uint64_t others) const {
  if (limit == 0) return 0;
  const std::uint64_t ours = std::max<std::uint64_t>(1, limit / partitions);
  return std::max(ours, limit - std::min(limit, others));
}

Quota Account::first_closed(base::Instant now, std::initializer_list<Quota> kinds) {
  for (Account* a = this; a != nullptr; a = a->above_) {
    for (const Quota q : kinds) {
      const auto [limit, others] =
          q == Quota::messages   ? std::pair(a->limits.messages_per_s, a->elsewhere.messages)
          : q == Quota::bytes    ? std::pair(a->limits.bytes_per_s, a->elsewhere.bytes)
          : q == Quota::commands ? std::pair(a->limits.commands_per_s, a->elsewhere.commands)
                                 : std::pair(a->limits.connects_per_s, a->elsewhere.connects);
      if (!a->bucket(q).open(a->share(limit, others), now)) return q;
    }
  }
  return Quota::none;
}

Quota Account::admit(bool new_session, bool account, base::Instant now) {
  Quota q = first_closed(now, {Quota::connects});
  const auto full = [account](std::uint64_t limit, std::uint64_t used) {
    return limit != 0 && used >= limit + (account ? reserve_of(limit) : 0);
  };
  for (const Account* a = this; a != nullptr && q == Quota::none; a = a->above_) {
    if (full(a->limits.connections, a->usage.connections + a->elsewhere.connections))
      q = Quota::connections;
    if (new_session && full(a->limits.sessions, a->usage.sessions + a->elsewhere.sessions))
      q = Quota::sessions;
  }
  count(q == Quota::none ? &Usage::connects : &Usage::refused, 1);
  for (Account* a = this; a != nullptr && q == Quota::none; a = a->above_)
    a->bucket(Quota::connects).take(1);
  return q;
}

Quota Account::message(std::size_t bytes, base::Instant now) {
  const Quota q = first_closed(now, {Quota::messages, Quota::bytes});
  if (q != Quota::none) return q;
  for (Account* a = this; a != nullptr; a = a->above_) {
    a->bucket(Quota::messages).take(1);
    a->bucket(Quota::bytes).take(static_cast<double>(bytes));
    ++a->usage.messages;
    a->usage.bytes += bytes;
  }
  return q;
}

Quota Account::command(base::Instant now) {
  const Quota q = first_closed(now, {Quota::commands});
  count(q == Quota::none ? &Usage::commands : &Usage::refused, 1);
  for (Account* a = this; a != nullptr && q == Quota::none; a = a->above_)
    a->bucket(Quota::commands).take(1);
  return q;
}

bool Account::queue_has_room(std::size_t bytes) const {
  for (const Account* a = this; a != nullptr; a = a->above_) {
    if (a->limits.queue_bytes != 0 &&
        a->usage.queue_bytes + a->elsewhere.queue_bytes + bytes > a->limits.queue_bytes)
      return false;
  }
  return true;
}

bool Account::retained_have_room() const {
  return limits.retained_messages == 0 ||
         usage.retained_messages + elsewhere.retained_messages < limits.retained_messages;
}

Account& Accounts::of(std::string_view tenant, std::string_view site) {
  std::string key = std::string(tenant) + "/";
  key.append(site);
  const auto it = all_.find(key);
  if (it != all_.end()) return *it->second;
  Account* above = site.empty() ? nullptr : &of(tenant, {});
  auto made = std::make_unique<Account>(std::string(tenant), std::string(site), above);
  made->partitions = partitions_;
  if (limits_of_) made->limits = limits_of_(tenant, site);
  return *all_.emplace(std::move(key), std::move(made)).first->second;
}

void Accounts::refresh() {
  for (auto& [key, account] : all_) {
    if (limits_of_) account->limits = limits_of_(account->tenant(), account->site());
  }
}

void Accounts::second() {
  for (auto& [key, account] : all_) account->second();
}

void Accounts::clear_elsewhere() {
  for (auto& [key, account] : all_) account->elsewhere = {};
}

void Accounts::each(const std::function<void(const Account&)>& f) const {
  for (const auto& [key, account] : all_) f(*account);
}

}  // namespace berth::session
