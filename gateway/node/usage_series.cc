#include "gateway/node/usage_series.h"

#include <algorithm>
#include <utility>

namespace berth::gateway {

using session::kUsageFields;
using session::Usage;
using session::UsageField;
using session::UsageOf;

namespace {

constexpr const char* kOther = "_other";
constexpr std::uint64_t kMuchMore = 4;  // times as many connections
constexpr std::uint64_t kAtLeast = 10;

// Counters have two series.
std::size_t series_of_one() {
  std::size_t n = 0;
  for (const UsageField& f : kUsageFields) n += f.counter ? 2 : 1;
  return n;
}

std::string key_of(const UsageOf& u) {
  return u.site.empty() ? u.tenant : u.tenant + "/" + u.site;
}

bool uses_more(const UsageOf* a, const UsageOf* b) {
  return std::pair(a->usage.connections, a->usage.messages) >
         std::pair(b->usage.connections, b->usage.messages);
}

}  // namespace

UsageSeries::UsageSeries(std::size_t series_max) {
  const std::size_t left = series_max > kOfTheProcess ? series_max - kOfTheProcess : 0;
  const std::size_t in_all = left / series_of_one();
  places_ = in_all <= 2 ? 0 : (in_all - 2) / 2;  // two are _other's
}

void UsageSeries::choose(Kind& kind, std::vector<const UsageOf*>& rest, std::int64_t now_s) const {
  std::erase_if(kind.chosen, [&](const auto& e) { return now_s - e.second.seen_s > kAbsentMax_s; });
  const std::size_t free = places_ - std::min(places_, kind.chosen.size());
  const std::size_t taken = std::min(free, rest.size());
  const auto end = rest.begin() + static_cast<std::ptrdiff_t>(taken);
  std::partial_sort(rest.begin(), end, rest.end(), uses_more);
  for (auto it = rest.begin(); it != end; ++it) kind.chosen[key_of(**it)] = {now_s, *it};
  rest.erase(rest.begin(), end);
  if (rest.empty() || kind.chosen.empty() || now_s - kind.swapped_s < kSwap_s) return;
  const auto most = std::max_element(rest.begin(), rest.end(),
                                     [](const auto* a, const auto* b) { return uses_more(b, a); });
  auto least = kind.chosen.end();
  for (auto it = kind.chosen.begin(); it != kind.chosen.end(); ++it) {
    if (it->second.now == nullptr) continue;
    if (least == kind.chosen.end() || uses_more(least->second.now, it->second.now)) least = it;
  }
  if (least == kind.chosen.end()) return;
  const std::uint64_t has = least->second.now->usage.connections;
  if ((*most)->usage.connections < std::max(kMuchMore * has, has + kAtLeast)) return;
  kind.swapped_s = now_s;
  const UsageOf* out = least->second.now;
  kind.chosen.erase(least);
  kind.chosen[key_of(**most)] = {now_s, *most};
  *most = out;
}

void UsageSeries::put(Kind& kind, bool sites, const Usages& all, std::int64_t now_s,
                      std::vector<metrics::Sample>& out) const {
  for (auto& [key, place] : kind.chosen) place.now = nullptr;
  std::vector<const UsageOf*> rest;
  for (const UsageOf& u : all) {
    if (u.site.empty() == sites) continue;
    const auto it = kind.chosen.find(key_of(u));
    if (it == kind.chosen.end()) {
      rest.push_back(&u);
    } else {
      it->second = {now_s, &u};
    }
  }
  choose(kind, rest, now_s);
  for (const auto& [key, place] : kind.chosen) {
    if (place.now != nullptr) put_usage(key, sites, *place.now, out);
  }
  UsageOf other{};
  for (const UsageOf* u : rest) {
    other.per_s += u->per_s;
    const Usage before = kind.last[key_of(*u)];
    for (const UsageField& f : kUsageFields) {
      const std::uint64_t now = u->usage.*f.value;
      if (!f.counter) {
        other.usage.*f.value += now;
      } else {  // less than before: the engine that counted has gone
        kind.others.*f.value += now - (now >= before.*f.value ? before.*f.value : 0);
      }
    }
  }
  kind.last.clear();
  for (const UsageOf& u : all) {
    if (u.site.empty() != sites) kind.last[key_of(u)] = u.usage;
  }
  kind.any_others = kind.any_others || !rest.empty();
  if (!kind.any_others) return;
  for (const UsageField& f : kUsageFields) {
    if (f.counter) other.usage.*f.value = kind.others.*f.value;
  }
  put_usage(kOther, sites, other, out);
}

std::vector<metrics::Sample> UsageSeries::samples(const Usages& all, std::int64_t now_s) {
  std::vector<metrics::Sample> out;
  put(tenants_, false, all, now_s, out);
  put(sites_, true, all, now_s, out);
  return out;
}

}  // namespace berth::gateway
