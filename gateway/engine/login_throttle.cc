#include "gateway/engine/login_throttle.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/wall_clock.h"

namespace berth::gateway::engine {

base::Instant login_time() {
  return base::boot_time().plus_s(1'000'000'000);
}

namespace {

std::string_view bytes_of(const base::Address& a) {
  return {reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()};
}

void give_back(LoginMemory::Entry* e) {
  if (e != nullptr) e->failures = std::max(0.0, e->failures - 1);
}

}  // namespace

LoginThrottle::LoginThrottle(Options o, std::shared_ptr<LoginMemory> memory)
    : options_(o), memory_(memory ? std::move(memory) : std::make_shared<LoginMemory>()) {}

std::uint64_t LoginThrottle::pair(const base::Address& from, std::string_view name) const {
  return memory_->hash(Table::known, std::string(bytes_of(from.site())).append(name));
}

LoginThrottle::Entry* LoginThrottle::known(const base::Address& from, std::string_view name) {
  return memory_->find(Table::known, pair(from, name));
}

// An engine before this one may have been ahead of the clock.
double LoginThrottle::left(Entry& e, base::Instant now) const {
  e.at_ms = std::min(e.at_ms, now.ms);
  const double forgiven =
      static_cast<double>(now.ms - e.at_ms) / (1000.0 * std::max(1u, options_.forgiven_s));
  return std::max(0.0, e.failures - forgiven);
}

// `times`: so many of its failures are one.
void LoginThrottle::take(Entry& e, double times, base::Instant now) {
  e.failures = left(e, now) + 1 / times;
  e.at_ms = now.ms;
}

bool LoginThrottle::full(Entry& e, std::uint32_t most, double times, base::Instant now) const {
  return most != 0 && left(e, now) > most - 1 / times + 1e-9;
}

bool LoginThrottle::may_try(const base::Address& from, std::string_view name, base::Instant now) {
  if (Entry* p = known(from, name)) {
    if (full(*p, options_.per_name, kOfKnown, now)) return false;
    take(*p, kOfKnown, now);
    return true;
  }
  Entry* a =
      memory_->find(Table::addresses, memory_->hash(Table::addresses, bytes_of(from.site())));
  if (a != nullptr && full(*a, options_.per_address, 1, now)) return false;
  if (options_.per_name == 0) return true;
  Entry& n = memory_->make(Table::names, memory_->hash(Table::names, name));
  if (full(n, options_.per_name, 1, now)) return false;
  take(n, 1, now);  // until it has succeeded
  return true;
}

LoginThrottle::Full LoginThrottle::why_not(const base::Address& from, std::string_view name,
                                           base::Instant now) {
  const auto wait_ms = [&](Entry& e, std::uint32_t most, double times) {
    const double too_many = std::max(0.0, left(e, now) - (most - 1 / times));
    return static_cast<std::uint32_t>(std::min(too_many * 1000.0 * options_.forgiven_s, 86'400e3));
  };
  if (Entry* p = known(from, name))
    return {"failures_per_name", wait_ms(*p, options_.per_name, kOfKnown)};
  Entry* a =
      memory_->find(Table::addresses, memory_->hash(Table::addresses, bytes_of(from.site())));
  if (a != nullptr && full(*a, options_.per_address, 1, now))
    return {"failures_per_address", wait_ms(*a, options_.per_address, 1)};
  Entry* n = memory_->find(Table::names, memory_->hash(Table::names, name));
  return {"failures_per_name", n == nullptr ? 0 : wait_ms(*n, options_.per_name, 1)};
}

void LoginThrottle::failed(const base::Address& from, std::string_view name, base::Instant now) {
  if (options_.per_address == 0 || known(from, name) != nullptr) return;
  take(memory_->make(Table::addresses, memory_->hash(Table::addresses, bytes_of(from.site()))), 1,
       now);
}

void LoginThrottle::succeeded(const base::Address& from, std::string_view name, base::Instant now) {
  const std::uint64_t hash = pair(from, name);
  if (Entry* p = memory_->find(Table::known, hash)) {
    p->failures = std::max(0.0, left(*p, now) - 1.0 / kOfKnown);
    p->at_ms = now.ms;
    return;
  }
  give_back(memory_->find(Table::names, memory_->hash(Table::names, name)));
  memory_->make(Table::known, hash).at_ms = now.ms;
}

void LoginThrottle::not_tried(const base::Address& from, std::string_view name) {
  if (Entry* p = known(from, name)) {
    p->failures = std::max(0.0, p->failures - 1.0 / kOfKnown);
  } else {
    give_back(memory_->find(Table::names, memory_->hash(Table::names, name)));
  }
}

}  // namespace berth::gateway::engine
