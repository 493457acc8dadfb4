#include "platform/told.h"

#include <vector>

namespace berth::platform {

namespace {

std::string_view tenant_of(std::string_view device_key) {
  return device_key.substr(0, device_key.find('\0'));
}

}  // namespace

void Told::add(std::uint64_t tag, std::string_view device, std::string_view type,
               std::string_view id, base::Instant until) {
  Tenant& tenant = tenants_[std::string(tenant_of(device))];
  if (told_.size() >= kMax || tenant.told >= kMaxOfTenant) {
    tenant.sure_from = std::max(tenant.sure_from, until);
    return;
  }
  const One one{std::string(device), std::string(type), std::string(id), until};
  if (!told_.try_emplace(tag, one).second) return;
  ++tenant.told;
  places_.emplace(device, tag);
}

void Told::forget(std::uint64_t tag) {
  const auto it = told_.find(tag);
  if (it == told_.end()) return;
  places_.erase({it->second.device, tag});
  --tenants_[std::string(tenant_of(it->second.device))].told;
  told_.erase(it);
}

void Told::answered(std::string_view device, std::string_view id) {
  std::vector<std::uint64_t> tags;  // a command that was given again has several
  for (auto it = places_.lower_bound({std::string(device), 0});
       it != places_.end() && it->first == device; ++it) {
    if (told_.at(it->second).id == id) tags.push_back(it->second);
  }
  for (const std::uint64_t tag : tags) forget(tag);
}

std::optional<std::uint64_t> Told::take(std::string_view device, std::string_view type,
                                        base::Instant now) {
  const auto tenant = tenants_.find(tenant_of(device));
  if (tenant == tenants_.end() || now < std::max(sure_from_, tenant->second.sure_from))
    return std::nullopt;
  std::optional<std::uint64_t> found;
  for (auto it = places_.lower_bound({std::string(device), 0});
       it != places_.end() && it->first == device; ++it) {
    const One& one = told_.at(it->second);
    if (one.type != type) continue;
    if (found && told_.at(*found).id != one.id) return std::nullopt;
    found = it->second;
  }
  if (found) answered(device, std::string(told_.at(*found).id));
  return found;
}

void Told::sweep(base::Instant now) {
  std::vector<std::uint64_t> late;
  for (const auto& [tag, one] : told_) {
    if (one.until <= now) late.push_back(tag);
  }
  for (const std::uint64_t tag : late) forget(tag);
  erase_if(tenants_,
           [now](const auto& t) { return t.second.told == 0 && t.second.sure_from <= now; });
}

}  // namespace berth::platform
