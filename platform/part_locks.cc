#include "platform/part_locks.h"

#include <algorithm>
#include <vector>

#include "platform/command_results.h"
#include "platform/platform.pb.h"

namespace berth::platform {

namespace {

constexpr std::string_view kLock{"!l\0", 3};

std::string place_of(std::string_view tenant, std::string_view executor, std::string_view child) {
  return joined(joined(tenant, executor), child);
}

std::uint64_t command_of(std::uint64_t tag) {
  return tag >> 8;
}

}  // namespace

bool PartLocks::is_key(std::string_view key) {
  return key.starts_with(kLock);
}

void PartLocks::restored(std::string_view key, std::string_view value) {
  pb::PartLock r;
  if (!r.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  const std::string place(key.substr(kLock.size()));
  locks_.insert_or_assign(
      place, Lock{command_of(r.tag()), r.id(), r.type(), {r.until_ms()}, base::kNever, 0});
  places_.insert_or_assign(command_of(r.tag()), place);
}

void PartLocks::forget(std::string_view key) {
  const auto it = locks_.find(key.substr(kLock.size()));
  if (it == locks_.end()) return;
  places_.erase(it->second.command);
  locks_.erase(it);
}

bool PartLocks::take(std::uint64_t tag, const Entry& e, base::Instant now) {
  const Asked& a = e.asked;
  const std::string place = place_of(a.tenant, addressee(a), a.child);
  auto it = locks_.find(place);
  if (it != locks_.end() && it->second.command == command_of(tag)) return true;
  if (it != locks_.end() && now < it->second.until) return false;
  if (it != locks_.end()) release(it);
  if (locks_.size() >= kMax) return false;
  const Command& c = e.command;
  const base::Instant until = c.deadline.plus_ms(std::max(c.result_ms, kWordGraceMs));
  pb::PartLock r;
  r.set_tag(tag);
  r.set_id(a.id);
  r.set_type(a.type);
  r.set_until_ms(until.ms);
  records_.put(std::string(kLock) + place, r.SerializeAsString());
  locks_.emplace(place, Lock{command_of(tag), a.id, a.type, until, c.deadline, c.result_ms});
  places_[command_of(tag)] = place;
  return true;
}

bool PartLocks::is_taken(std::string_view tenant, const Part& part, std::string_view id,
                         base::Instant now) const {
  const auto it = locks_.find(place_of(tenant, part.executor, part.child));
  return it != locks_.end() && now < it->second.until && it->second.id != id;
}

void PartLocks::word(std::uint64_t tag, Fate fate, base::Instant now) {
  const auto place = places_.find(command_of(tag));
  if (place == places_.end()) return;
  const auto it = locks_.find(place->second);
  Lock& lock = it->second;
  if (fate == Fate::received) return;
  if (fate != Fate::sent) return release(it);
  // As the ledger waits for its result.
  if (lock.deadline != base::kNever)
    lock.until = std::min(lock.until, std::max(lock.deadline, now.plus_ms(lock.result_ms)));
}

void PartLocks::answered(std::string_view tenant, std::string_view executor, std::string_view id) {
  const bool unnamed = id.starts_with(kUnnamed);
  const std::string all = place_of(tenant, executor, {});
  std::vector<std::string> meant;
  for (auto it = locks_.lower_bound(all); it != locks_.end() && it->first.starts_with(all); ++it) {
    if (unnamed ? it->second.type == id.substr(1) : it->second.id == id) meant.push_back(it->first);
  }
  // Of several, as with the ledger, the answer is nobody's.
  if (meant.size() == 1) release(locks_.find(meant.front()));
}

void PartLocks::sweep(base::Instant now) {
  for (auto it = locks_.begin(); it != locks_.end();) {
    const auto next = std::next(it);
    if (it->second.until <= now) release(it);
    it = next;
  }
}

void PartLocks::release(Locks::iterator it) {
  records_.remove(std::string(kLock) + it->first);
  places_.erase(it->second.command);
  locks_.erase(it);
}

}  // namespace berth::platform
