#include "gateway/cluster/newcomer_limits.h"

#include <algorithm>
#include <utility>

namespace berth::gateway::cluster {

bool NewcomerLimits::knows(const base::Address& site) const {
  return std::find(known_.begin(), known_.end(), site) != known_.end();
}

void NewcomerLimits::know(const base::Address& address) {
  const base::Address site = address.site();
  std::erase(known_, site);
  if (known_.size() == kKnownMax) known_.erase(known_.begin());
  known_.push_back(site);
  for (Waiting& w : waiting_) w.known = w.known || w.site == site;
}

bool NewcomerLimits::take_token(const base::Address& site, std::int64_t now_ns) {
  const auto tokens_at = [now_ns](const Bucket& b) {
    const double s = static_cast<double>(now_ns - b.filled_ns) * 1e-9;
    return std::min(b.tokens + s * kPerSecond, kBurst);
  };
  if (buckets_.size() >= kTrackedMax && !buckets_.contains(site)) {
    std::erase_if(buckets_, [&](const auto& b) { return tokens_at(b.second) >= kBurst; });
    if (buckets_.size() >= kTrackedMax) return true;
  }
  const auto [it, fresh] = buckets_.try_emplace(site, Bucket{.filled_ns = now_ns});
  Bucket& b = it->second;
  b.tokens = tokens_at(b);
  b.filled_ns = now_ns;
  if (b.tokens < 1) return false;
  b.tokens -= 1;
  return true;
}

std::size_t NewcomerLimits::count(const base::Address& site) const {
  return static_cast<std::size_t>(std::count_if(waiting_.begin(), waiting_.end(),
                                                [&](const Waiting& w) { return w.site == site; }));
}

template <class Match>
const NewcomerLimits::Waiting* NewcomerLimits::oldest(Match&& match) const {
  const auto it = std::find_if(waiting_.begin(), waiting_.end(), match);
  return it == waiting_.end() ? nullptr : &*it;
}

// Null: none is to go for one of this site.
const NewcomerLimits::Waiting* NewcomerLimits::place_for(const base::Address& site, bool known,
                                                         std::int64_t now_ns) const {
  const auto waited = [now_ns](const Waiting* w) {
    return w != nullptr && now_ns - w->since_ns >= kGrace_ns ? w : nullptr;
  };
  const auto of = [this](const base::Address& s) {
    return oldest([&s](const Waiting& w) { return w.site == s; });
  };
  const std::size_t ours = count(site);
  if (!known && ours >= kPerSite) return waited(of(site));
  const Waiting* unknown = oldest([](const Waiting& w) { return !w.known; });
  if (unknown == nullptr && !known) return waited(&waiting_.front());
  std::unordered_map<base::Address, std::size_t, base::AddressHash> counts;
  const Waiting* most = nullptr;
  for (const Waiting& w : waiting_) {
    if (unknown != nullptr && w.known) continue;
    if (++counts[w.site] > (most == nullptr ? 0 : counts[most->site])) most = &w;
  }
  const bool fair = (known && unknown != nullptr) || counts[most->site] > ours + 1;
  return fair ? of(most->site) : waited(unknown != nullptr ? unknown : &waiting_.front());
}

NewcomerLimits::Verdict NewcomerLimits::enter(Id id, const base::Address& from,
                                              std::int64_t now_ns) {
  const base::Address site = from.site();
  const bool known = knows(site);
  if (!known && !take_token(site, now_ns)) return {};
  Verdict v{.admitted = true, .evicted = {}};
  if (waiting_.size() >= kMax || (!known && count(site) >= kPerSite)) {
    const Waiting* out = place_for(site, known, now_ns);
    if (out == nullptr) return {};
    v.evicted = out->id;
    leave(*v.evicted);
  }
  waiting_.push_back({id, site, now_ns, known});
  return v;
}

void NewcomerLimits::leave(Id id) {
  std::erase_if(waiting_, [id](const Waiting& w) { return w.id == id; });
}

}  // namespace berth::gateway::cluster
