#include "platform/top_list.h"

#include <algorithm>

#include "platform/records.h"

namespace berth::platform {

std::int64_t HourCount::pass(base::Instant now) {
  const std::int64_t step = now.ms / kStep_ms;
  const std::int64_t passed = std::max<std::int64_t>(step - step_, 0);
  const auto cleared = static_cast<std::int64_t>(kSteps);
  for (std::int64_t i = 1; i <= std::min(passed, cleared); ++i)
    steps_[static_cast<std::size_t>(step_ + i) % kSteps] = 0;
  if (passed > cleared) steps_.fill(0);
  step_ = std::max(step, step_);
  return passed;
}

std::uint64_t HourCount::sum(base::Instant now) const {
  HourCount then = *this;
  then.pass(now);
  std::uint64_t all = 0;
  for (const std::uint32_t n : then.steps_) all += n;
  return all;
}

TopList::Place& TopList::count(std::string_view key, const Place& p, At at, std::uint32_t times) {
  std::string whole = joined(p.tenant, key);
  auto it = places_.find(whole);
  if (it == places_.end()) {
    const std::uint64_t before = places_.size() < kPlaces ? 0 : make_room(at.now);
    it = places_.emplace(std::move(whole), p).first;
    it->second.taken_with = before;
    ++tenants_[p.tenant];
  }
  Place& place = it->second;
  // Who sees the new site only is told nothing of the old one, and the other way round.
  if (!p.site.empty() && place.site != p.site) begin_again(place, p);
  const std::int64_t passed = place.times.pass(at.now);
  if (passed > 0) {  // what is older than an hour goes, about
    const auto steps = static_cast<std::int64_t>(HourCount::kSteps);
    const auto left = static_cast<std::uint64_t>(steps - std::min(passed, steps));
    for (std::uint32_t& n : place.causes) n = static_cast<std::uint32_t>(n * left / steps);
    place.taken_with = place.taken_with * left / static_cast<std::uint64_t>(steps);
  }
  place.times.add(times);
  place.last_ms = at.wall_ms;
  return place;
}

// It is at another site now.
void TopList::begin_again(Place& place, const Place& p) {
  if (place.site.empty()) {
    place.site = p.site;
  } else {
    place = p;
  }
}

// What the one that goes has been counted.
std::uint64_t TopList::make_room(base::Instant now) {
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto most = std::max_element(tenants_.begin(), tenants_.end(), fewer);
  auto least = places_.end();
  std::uint64_t weight = 0;
  for (auto it = places_.begin(); it != places_.end(); ++it) {
    if (it->second.tenant != most->first) continue;
    const std::uint64_t w = it->second.weight(now);
    const bool less = least == places_.end() || w < weight ||
                      (w == weight && it->second.last_ms < least->second.last_ms);
    if (!less) continue;
    least = it;
    weight = w;
  }
  places_.erase(least);
  if (--most->second == 0) tenants_.erase(most);
  return weight;
}

}  // namespace berth::platform
