#include "gateway/edge/before_login.h"

#include <algorithm>

#include "base/assert.h"

namespace berth::gateway::edge {

namespace {
constexpr std::size_t kLookedAt = 256;  // addresses, to find one that holds much
}

void BeforeLogin::enter(std::uint32_t slot, const base::Address& a, std::size_t bytes, bool limited,
                        std::uint32_t now_s) {
  if (slot >= places_.size()) places_.resize(std::max<std::size_t>(slot + 1, places_.size() * 2));
  BERTH_ASSERT(places_[slot].owner == 0);
  const base::Address key = limited ? a.site() : base::Address{};
  const auto [it, fresh] = by_address_.try_emplace(key);
  if (fresh) {
    if (unused_.empty()) {
      unused_.push_back(static_cast<std::uint32_t>(owners_.size()));
      owners_.emplace_back();
    }
    it->second = unused_.back();
    unused_.pop_back();
    owners_[it->second] = Owner{};
    owners_[it->second].address = key;
    owners_[it->second].limited = limited;
  }
  places_[slot].owner = it->second;
  places_[slot].since_s = now_s;
  ++owners_[it->second].connections;
  ++connections_;
  push(slot, List::silent);
  add(slot, bytes);
}

void BeforeLogin::add(std::uint32_t slot, std::size_t n) {
  Place& p = places_[slot];
  p.bytes += n;
  owners_[p.owner].bytes += n;
  bytes_ += n;
}

void BeforeLogin::take(std::uint32_t slot, std::size_t n) {
  Place& p = places_[slot];
  n = std::min(n, p.bytes);
  p.bytes -= n;
  owners_[p.owner].bytes -= n;
  bytes_ -= n;
}

void BeforeLogin::push(std::uint32_t slot, List list) {
  Place& p = places_[slot];
  Queue& q = owners_[p.owner].queues[static_cast<std::size_t>(list)];
  p.list = list;
  p.before = q.last;
  p.after = kNobody;
  (q.last == kNobody ? q.first : places_[q.last].after) = slot;
  q.last = slot;
  ++q.count;
}

void BeforeLogin::unlink(std::uint32_t slot) {
  Place& p = places_[slot];
  if (p.list == List::none) return;
  Queue& q = owners_[p.owner].queues[static_cast<std::size_t>(p.list)];
  (p.before == kNobody ? q.first : places_[p.before].after) = p.after;
  (p.after == kNobody ? q.last : places_[p.after].before) = p.before;
  --q.count;
  p.list = List::none;
}

void BeforeLogin::spoke(std::uint32_t slot) {
  if (!has(slot) || places_[slot].list != List::silent) return;
  unlink(slot);
  push(slot, List::spoken);
}

void BeforeLogin::ended(std::uint32_t slot) {
  if (has(slot)) unlink(slot);
}

std::size_t BeforeLogin::leave(std::uint32_t slot) {
  if (!has(slot)) return 0;
  const std::size_t bytes = places_[slot].bytes;
  take(slot, bytes);
  unlink(slot);
  const std::uint32_t owner = places_[slot].owner;
  places_[slot] = Place{};
  --connections_;
  if (--owners_[owner].connections == 0) {
    by_address_.erase(owners_[owner].address);
    unused_.push_back(owner);
  }
  return bytes;
}

// Who has not finished its first word goes before who waits for us.
std::uint32_t BeforeLogin::who_goes(const Owner& o, std::uint32_t now_s) const {
  const Queue& silent = o.queues[0];
  if (silent.first == kNobody) return o.queues[1].last;
  const bool had_time = now_s - places_[silent.first].since_s >= kTime_s;
  return had_time ? silent.first : silent.last;
}

// Of some addresses, others each time, the one that holds most, if that is more than `than`.
std::uint32_t BeforeLogin::heaviest(std::uint32_t than) {
  std::uint32_t found = than;
  for (std::size_t n = std::min(owners_.size(), kLookedAt); n-- != 0;) {
    look_at_ = look_at_ + 1 < owners_.size() ? look_at_ + 1 : 1;
    const Owner& o = owners_[look_at_];
    if (o.connections != 0 && o.bytes > owners_[found].bytes &&
        o.queues[0].count + o.queues[1].count != 0)
      found = static_cast<std::uint32_t>(look_at_);
  }
  return found;
}

std::uint32_t BeforeLogin::too_many(std::uint32_t slot, std::uint32_t now_s) {
  if (!has(slot)) return kNobody;
  const std::uint32_t owner = places_[slot].owner;
  const Owner& o = owners_[owner];
  const bool many =
      options_.connections_per_address != 0 && o.queues[0].count > options_.connections_per_address;
  if (o.limited && (many || o.bytes > options_.bytes / 4)) return who_goes(o, now_s);
  if (bytes_ <= options_.bytes) return kNobody;
  const std::uint32_t most = heaviest(owner);
  return most == owner && o.connections == 1 ? slot : who_goes(owners_[most], now_s);
}

}  // namespace berth::gateway::edge
