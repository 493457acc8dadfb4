#include "gateway/cluster/usage_exchange.h"

#include "base/clock.h"

namespace berth::gateway::cluster {

namespace {

constexpr std::int64_t kTell_ns = 1'000'000'000;

Usages flat(const std::map<std::uint32_t, Usages>& by_partition) {
  Usages all;
  for (const auto& [partition, usages] : by_partition)
    all.insert(all.end(), usages.begin(), usages.end());
  return sum_of(all);
}

}  // namespace

UsageExchange::UsageExchange(RegistryService& registry, const Partitions& partitions)
    : registry_(registry), partitions_(partitions) {
  registry_.on_usage([this](const auto& reports) { hear(reports); });
}

std::map<std::uint32_t, Usages> UsageExchange::served() const {
  std::map<std::uint32_t, Usages> all;
  for (const auto& p : partitions_) {
    if (p->runs_inputs()) all[p->partition()] = usage_of(p->engine()->broker());
  }
  return all;
}

void UsageExchange::beat() {
  const std::int64_t now = base::monotonic_ns();
  if (now - told_ns_ < kTell_ns) return;
  told_ns_ = now;
  registry::RegistryStore::Reports ours;
  for (const auto& [partition, usages] : served()) ours[partition] = encode_usage(usages);
  registry_.tell_usage(std::move(ours));
}

void UsageExchange::hear(const registry::RegistryStore::Reports& reports) {
  heard_.clear();
  for (const auto& [partition, report] : reports) heard_[partition] = decode_usage(report);
  for (const auto& p : partitions_) {
    if (!p->runs_inputs()) continue;
    Usages others;
    for (const auto& [partition, usages] : heard_) {
      if (partition == p->partition()) continue;
      for (const session::UsageOf& u : usages) others.push_back(of_a_second(u));
    }
    p->engine()->broker().use_elsewhere(sum_of(others));
  }
}

Usages UsageExchange::here() const {
  return flat(served());
}

Usages UsageExchange::everywhere() const {
  std::map<std::uint32_t, Usages> all = heard_;
  for (auto& [partition, usages] : served()) all[partition] = std::move(usages);
  return flat(all);
}

}  // namespace berth::gateway::cluster
