#include "session/holdings.h"

#include <algorithm>

#include "base/assert.h"
#include "session/principal_key.h"

namespace berth::session {

namespace {

constexpr std::uint32_t kSubscriptionBytes = 16;   // beside the filter, for a session
constexpr std::uint32_t kSubscriptionMemory = 64;  // in the session's list
constexpr std::uint32_t kLevelMemory = 48;         // a node of the trie
constexpr std::uint32_t kWillMemory = 128;

std::string prefixed(char kind, std::string_view key) {
  return std::string(1, kind).append(key);
}

bool shared_room(std::uint64_t limit, std::uint64_t used, std::uint64_t own, std::uint64_t more) {
  if (limit == 0) return true;
  if (used + more > limit) return false;
  return used + more <= limit - limit / 10 || own + more <= limit - used;
}

}  // namespace

Cost cost_of_filter(std::string_view raw) {
  const auto size = static_cast<std::uint32_t>(raw.size());
  const auto levels = 1 + static_cast<std::uint32_t>(std::count(raw.begin(), raw.end(), '/'));
  return {size + kSubscriptionBytes, size + kSubscriptionMemory + levels * kLevelMemory};
}

Cost cost_of_will(std::size_t bytes) {
  const auto size = static_cast<std::uint32_t>(bytes);
  return {size, size + kWillMemory};
}

Holder::Holder(Holdings& all, std::string_view key, Holder* above, std::uint64_t limit)
    : all_(all), key_(key), above_(above), limit_(limit) {
  if (above_ == nullptr) return;
  next_ = std::exchange(above_->first_, this);
  if (next_ != nullptr) next_->previous_ = this;
}

Holder::~Holder() {
  if (above_ == nullptr) return;
  (previous_ != nullptr ? previous_->next_ : above_->first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

bool Holder::has_room(std::uint64_t more) const {
  std::uint64_t own = 0;
  for (const Holder* h = this; h != nullptr; h = h->above_) {
    if (h == this ? h->limit_ != 0 && h->bytes_ + more > h->limit_
                  : !shared_room(h->limit_, h->bytes_, own, more))
      return false;
    own = h->bytes_;
  }
  return true;
}

void Holder::count(std::int64_t bytes, int sessions) {
  for (Holder* h = this; h != nullptr; h = h->above_) {
    h->bytes_ = static_cast<std::uint64_t>(static_cast<std::int64_t>(h->bytes_) + bytes);
    h->sessions_ = static_cast<std::uint32_t>(static_cast<std::int64_t>(h->sessions_) + sessions);
  }
}

Holding::Holding(Holdings& all, std::string_view principal) : holder_(&all.of(principal)) {
  ++holder_->users_;
}

Holding& Holding::operator=(Holding&& o) noexcept {
  if (this == &o) return *this;
  drop();
  holder_ = std::exchange(o.holder_, nullptr);
  have_ = std::exchange(o.have_, {});
  return *this;
}

bool Holding::has_room(Cost c) const {
  if (holder_ == nullptr) return true;
  const std::uint64_t most = holder_->all_.limits_.session_bytes;
  if (most != 0 && std::uint64_t{have_.bytes} + c.bytes > most) return false;
  return holder_->has_room(c.memory);
}

bool Holding::take(Cost c) {
  if (!has_room(c)) return false;
  keep(c);
  return true;
}

void Holding::keep(Cost c) {
  if (holder_ == nullptr) return;
  have_.bytes += c.bytes;
  have_.memory += c.memory;
  holder_->count(c.memory, 0);
}

void Holding::give_back(Cost c) {
  if (holder_ == nullptr) return;
  BERTH_ASSERT(c.bytes <= have_.bytes && c.memory <= have_.memory);
  have_.bytes -= c.bytes;
  have_.memory -= c.memory;
  holder_->count(-static_cast<std::int64_t>(c.memory), 0);
}

void Holding::give_back_all() {
  give_back(have_);
}

void Holding::drop() {
  if (holder_ == nullptr) return;
  give_back_all();
  Holder& was = *std::exchange(holder_, nullptr);
  was.all_.release(was);
}

Holdings::Holdings(const HoldingLimits& limits)
    : limits_(limits), all_(*this, {}, nullptr, limits.total_bytes) {}

const Holder* Holdings::principal(std::string_view key) const {
  const auto it = by_key_.find(prefixed('p', key));
  return it == by_key_.end() ? nullptr : it->second.get();
}

const Holder* Holdings::tenant(std::string_view name) const {
  const auto it = by_key_.find(prefixed('t', name));
  return it == by_key_.end() ? nullptr : it->second.get();
}

Holder& Holdings::make(const std::string& key, Holder& above, std::uint64_t limit) {
  const auto [it, fresh] = by_key_.try_emplace(key);
  if (fresh) {
    it->second = std::make_unique<Holder>(*this, it->first, &above, limit);
    ++above.users_;
  }
  return *it->second;
}

Holder& Holdings::of(std::string_view key) {
  if (const Holder* h = principal(key)) return const_cast<Holder&>(*h);
  Holder& tenant = make(prefixed('t', tenant_of(key)), all_, limits_.tenant_bytes);
  return make(prefixed('p', key), tenant, limits_.principal_bytes);
}

void Holdings::release(Holder& h) {
  if (--h.users_ != 0 || h.above_ == nullptr) return;
  BERTH_ASSERT(h.newest_ == nullptr);
  Holder& above = *h.above_;
  by_key_.erase(std::string(h.key_));
  release(above);
}

std::uint32_t Holdings::sessions_of(std::string_view key) const {
  const Holder* h = principal(key);
  return h == nullptr ? 0 : h->sessions_;
}

std::uint32_t Holdings::sessions_max(std::string_view principal) const {
  if (!is_registered(principal)) return limits_.per_user;
  return is_device(principal) ? limits_.per_device : limits_.per_account;
}

bool Holdings::replaces(std::string_view key) const {
  return limits_.per_device != 0 && is_registered(key) && is_device(key);
}

bool Holdings::is_full_device(std::string_view key) const {
  return replaces(key) && sessions_of(key) >= limits_.per_device;
}

bool Holdings::may_begin(std::string_view principal, std::size_t now, std::size_t most) const {
  const std::uint32_t own = sessions_of(principal);
  const std::uint32_t allowed = replaces(principal) ? 0 : sessions_max(principal);
  return (allowed == 0 || own < allowed) && shared_room(most, now, own, 1);
}

}  // namespace berth::session
