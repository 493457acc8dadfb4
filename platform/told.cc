#include "platform/told.h"

#include <vector>

namespace berth::platform {

void Told::add(std::uint64_t tag, std::string_view device, std::string_view type,
               std::string_view id, base::Instant until) {
  if (told_.size() >= kMax) return unsure(until);
  const One one{std::string(device), std::string(type), std::string(id), until};
  if (told_.try_emplace(tag, one).second) places_.emplace(device, tag);
}

void Told::forget(std::uint64_t tag) {
  const auto it = told_.find(tag);
  if (it == told_.end()) return;
  places_.erase({it->second.device, tag});
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
  if (now < sure_from_) return std::nullopt;
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
}

}  // namespace berth::platform
