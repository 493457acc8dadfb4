#include "gateway/edge/address_limits.h"

#include <algorithm>
#include <utility>

namespace berth::gateway::edge {

namespace {

constexpr std::int64_t kFull_ns = 10'000'000'000;  // an empty bucket is full after it

}  // namespace

AddressLimits::Entry* AddressLimits::entry_of(const base::Address& a, std::int64_t now_ns) {
  if (entries_.size() >= kTracked && !entries_.contains(a.site())) {
    forget_idle(now_ns);
    if (entries_.size() >= kTracked) return nullptr;
  }
  const auto [it, fresh] = entries_.try_emplace(a.site());
  if (fresh) it->second = {.open = 0, .tokens = depth(), .filled_ns = now_ns};
  return &it->second;
}

void AddressLimits::forget_idle(std::int64_t now_ns) {
  erase_if(entries_, [now_ns](const auto& e) {
    return e.second.open == 0 && now_ns - e.second.filled_ns > kFull_ns;
  });
}

void AddressLimits::use(Options o) {
  const std::lock_guard lock(mutex_);
  options_ = o;
}

bool AddressLimits::enter(const base::Address& a, std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  Entry* e = entry_of(a, now_ns);
  if (e == nullptr) return true;
  const double s = static_cast<double>(now_ns - std::exchange(e->filled_ns, now_ns)) * 1e-9;
  e->tokens = std::min(e->tokens + s * options_.per_s, depth());
  if (options_.connections != 0 && e->open >= options_.connections) return false;
  if (options_.per_s != 0) {
    if (e->tokens < 1) return false;
    e->tokens -= 1;
  }
  ++e->open;
  return true;
}

void AddressLimits::enter_again(const base::Address& a) {
  const std::lock_guard lock(mutex_);
  if (Entry* e = entry_of(a, 0)) ++e->open;
}

void AddressLimits::leave(const base::Address& a) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(a.site());
  if (it == entries_.end()) return;
  if (it->second.open != 0) --it->second.open;
  if (it->second.open == 0 && options_.per_s == 0) entries_.erase(it);
}

}  // namespace berth::gateway::edge
