#include "gateway/engine/login_throttle.h"

#include <algorithm>

namespace berth::gateway::engine {

namespace {

std::uint64_t hash_of(const base::Address& from, std::string_view name) {
  return base::AddressHash{}(from.site()) ^
         (std::hash<std::string_view>{}(name)*0x9e3779b97f4a7c15ULL);
}

}  // namespace

double LoginThrottle::left(const Bucket& b, base::Instant now) const {
  const double forgiven =
      static_cast<double>(now.ms - b.at_ms) / (1000.0 * std::max(1u, options_.forgiven_s));
  return std::max(0.0, b.failures - forgiven);
}

void LoginThrottle::take(Bucket& b, base::Instant now) {
  b.failures = left(b, now) + 1;
  b.at_ms = now.ms;
}

template <class Map>
bool LoginThrottle::make_room(Map& m, base::Instant now) {
  if (m.size() < kTracked) return true;
  erase_if(m, [&](const auto& e) { return left(e.second, now) == 0; });
  return m.size() < kTracked;
}

bool LoginThrottle::full(const Bucket& b, std::uint32_t most, base::Instant now) const {
  return most != 0 && left(b, now) > most - 1;
}

bool LoginThrottle::may_try(const base::Address& from, std::string_view name, base::Instant now) {
  if (known_.contains(hash_of(from, name))) return true;
  const auto a = addresses_.find(from.site());
  if (a != addresses_.end() && full(a->second, options_.per_address, now)) return false;
  if (options_.per_name == 0) return true;
  auto n = names_.find(name);
  if (n == names_.end()) {
    if (!make_room(names_, now)) return true;
    n = names_.emplace(std::string(name), Bucket{}).first;
  }
  if (full(n->second, options_.per_name, now)) return false;
  take(n->second, now);  // until it has succeeded
  return true;
}

void LoginThrottle::failed(const base::Address& from, std::string_view name, base::Instant now) {
  known_.erase(hash_of(from, name));  // its password may have been changed: no way around any more
  if (options_.per_address == 0) return;
  if (addresses_.contains(from.site()) || make_room(addresses_, now))
    take(addresses_[from.site()], now);
}

void LoginThrottle::succeeded(const base::Address& from, std::string_view name) {
  const std::uint64_t h = hash_of(from, name);
  if (!known_.insert(h).second) return;
  if (const auto n = names_.find(name); n != names_.end())
    n->second.failures = std::max(0.0, n->second.failures - 1);
  known_order_.push_back(h);
  if (known_order_.size() <= kTracked) return;
  known_.erase(known_order_.front());
  known_order_.pop_front();
}

}  // namespace berth::gateway::engine
