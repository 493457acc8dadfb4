#include "platform/departures.h"

#include <arpa/inet.h>

#include <algorithm>

namespace berth::platform {

namespace {

constexpr std::string_view kDepartures{"!e\0", 3};

void count(std::map<std::string, std::uint32_t, std::less<>>& names, std::string name,
           std::size_t most) {
  if (name.empty()) return;
  const auto it = names.find(name);
  if (it != names.end()) {
    ++it->second;
  } else if (names.size() < most) {
    names.emplace(std::move(name), 1);
  }
}

}  // namespace

std::string range_of(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string host(address.substr(0, colon));
  char text[INET6_ADDRSTRLEN];
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) {
    four.s_addr &= htonl(0xffff0000);
    return std::string(::inet_ntop(AF_INET, &four, text, sizeof text)) + "/16";
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  in6_addr six{};
  if (::inet_pton(AF_INET6, host.c_str(), &six) != 1) return {};
  std::fill(six.s6_addr + 4, six.s6_addr + 16, std::uint8_t{0});
  return std::string(::inet_ntop(AF_INET6, &six, text, sizeof text)) + "/32";
}

bool Departures::is_key(std::string_view key) {
  return key.starts_with(kDepartures) && key.size() == kDepartures.size() + 8;
}

void Departures::restored(std::string_view key, std::string_view record) {
  pb::DeparturesRecord r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  Bucket b{.sites = {}, .left_out = r.left_out()};
  for (const pb::DeparturesOf& one : r.sites()) {
    if (b.sites.size() >= kSitesMax) break;
    Site& s = b.sites[{one.tenant(), one.site()}];
    for (int i = 0; i < std::min<int>(one.causes_size(), kCauses); ++i)
      s.causes[static_cast<std::size_t>(i)] = one.causes(i);
    for (const auto& n : one.firmwares()) s.firmwares[n.name()] = n.count();
    for (const auto& n : one.ranges()) s.ranges[n.name()] = n.count();
  }
  buckets_[from_big_endian(key.substr(kDepartures.size()))] = std::move(b);
}

void Departures::forget(std::string_view key) {
  buckets_.erase(from_big_endian(key.substr(kDepartures.size())));
}

void Departures::ended(const Visit& v, std::string_view firmware, Cause cause,
                       std::int64_t wall_ms) {
  const std::int64_t at = wall_ms / kEvery_ms * kEvery_ms;
  if (changed_ != 0 && changed_ != at) store(changed_);
  Bucket& b = buckets_[at];
  changed_ = at;
  std::pair<std::string, std::string> key{v.tenant, v.site};
  auto it = b.sites.find(key);
  if (it == b.sites.end() && b.sites.size() >= kSitesMax) {
    ++b.left_out;
    return;
  }
  if (it == b.sites.end()) it = b.sites.emplace(std::move(key), Site()).first;
  ++it->second.causes[static_cast<std::size_t>(cause)];
  count(it->second.firmwares, std::string(firmware), kNamesMax);
  count(it->second.ranges, range_of(v.address), kNamesMax);
}

pb::DeparturesRecord Departures::record_of(std::int64_t at_ms, const Bucket& b) {
  pb::DeparturesRecord r;
  r.set_at_ms(at_ms);
  r.set_left_out(b.left_out);
  for (const auto& [key, s] : b.sites) {
    pb::DeparturesOf& one = *r.add_sites();
    one.set_tenant(key.first);
    one.set_site(key.second);
    for (const std::uint32_t n : s.causes) one.add_causes(n);
    for (const auto& [name, n] : s.firmwares) {
      auto& out = *one.add_firmwares();
      out.set_name(name);
      out.set_count(n);
    }
    for (const auto& [name, n] : s.ranges) {
      auto& out = *one.add_ranges();
      out.set_name(name);
      out.set_count(n);
    }
  }
  return r;
}

// The next one of its name hears nothing of it.
void Departures::removed_tenant(const std::string& tenant) {
  for (auto& [at_ms, b] : buckets_) {
    const auto before = b.sites.size();
    std::erase_if(b.sites, [&tenant](const auto& s) { return s.first.first == tenant; });
    if (b.sites.size() != before) store(at_ms);
  }
}

void Departures::store(std::int64_t at_ms) {
  const auto it = buckets_.find(at_ms);
  if (it == buckets_.end()) return;
  records_.unhurried([&] {
    records_.put(std::string(kDepartures) + big_endian(at_ms),
                 record_of(at_ms, it->second).SerializeAsString());
    while (buckets_.size() > kBuckets) {
      records_.remove(std::string(kDepartures) + big_endian(buckets_.begin()->first));
      buckets_.erase(buckets_.begin());
    }
  });
}

void Departures::tick(std::int64_t wall_ms) {
  const std::int64_t oldest = wall_ms - static_cast<std::int64_t>(kBuckets) * kEvery_ms;
  while (!buckets_.empty() && buckets_.begin()->first < oldest) {
    records_.unhurried(
        [&] { records_.remove(std::string(kDepartures) + big_endian(buckets_.begin()->first)); });
    buckets_.erase(buckets_.begin());
  }
  if (changed_ == 0 || wall_ms - stored_ms_ < kStoreEvery_ms) return;
  store(std::exchange(changed_, 0));
  stored_ms_ = wall_ms;
}

std::string Departures::answer(std::string_view question) const {
  pb::DeparturesQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  constexpr std::size_t kBytesMax = 900 * 1024;
  pb::DeparturesAnswer a;
  std::size_t bytes = 0;
  // The newest first, as far as there is room; then in their order.
  for (auto it = buckets_.rbegin(); it != buckets_.rend() && it->first >= q.from_ms(); ++it) {
    pb::DeparturesRecord r = record_of(it->first, it->second);
    auto& sites = *r.mutable_sites();
    sites.erase(std::remove_if(sites.begin(), sites.end(),
                               [&q](const pb::DeparturesOf& s) {
                                 return (!q.tenant().empty() && s.tenant() != q.tenant()) ||
                                        (!q.sites().empty() &&
                                         std::find(q.sites().begin(), q.sites().end(), s.site()) ==
                                             q.sites().end());
                               }),
                sites.end());
    bytes += r.ByteSizeLong();
    if (bytes > kBytesMax) break;
    *a.add_items() = std::move(r);
  }
  std::reverse(a.mutable_items()->begin(), a.mutable_items()->end());
  return a.SerializeAsString();
}

}  // namespace berth::platform
