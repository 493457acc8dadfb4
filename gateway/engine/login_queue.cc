#include "gateway/engine/login_queue.h"

#include <algorithm>

namespace berth::gateway::engine {

namespace {
constexpr std::size_t kLookedAt = 64;  // lines of a tenant, to find a long one
}

LoginQueue::Tenants::iterator LoginQueue::fullest() {
  return std::max_element(tenants_.begin(), tenants_.end(), [](const auto& a, const auto& b) {
    return a.second.size < b.second.size;
  });
}

LoginQueue::LineAt LoginQueue::longest(Tenant& t) {
  LineAt best = t.lines.begin();
  std::size_t seen = 0;
  for (LineAt i = best; i != t.lines.end() && seen < kLookedAt; ++i, ++seen) {
    if (i->tickets.size() > best->tickets.size()) best = i;
  }
  return best;
}

bool LoginQueue::has_room(std::uint64_t tenant, const base::Address& from) {
  const base::Address site = from.site();
  const auto behind = by_address_.find(site);
  if (behind != by_address_.end() && behind->second >= kPerAddress) return false;
  if (places_.size() < kMost) return true;
  Tenant& most = fullest()->second;
  const auto mine = tenants_.find(tenant);
  if (mine == tenants_.end() || mine->second.size + 1 < most.size) return true;
  const auto line = most.by_address.find(site);
  const std::size_t held = line == most.by_address.end() ? 0 : line->second->tickets.size();
  return &mine->second == &most && held + 1 < longest(most)->tickets.size();
}

std::optional<LoginQueue::Ticket> LoginQueue::push(std::uint64_t tenant, const base::Address& from,
                                                   Ticket t) {
  std::optional<Ticket> out;
  if (places_.size() >= kMost) {
    const LineAt line = longest(fullest()->second);
    out = line->tickets.back();
    line->tickets.pop_back();
    leave(*out);
  }
  const base::Address site = from.site();
  const auto [it, fresh] = tenants_.try_emplace(tenant);
  Tenant& of = it->second;
  if (fresh) of.turn = turns_.insert(turns_.end(), tenant);
  auto at = of.by_address.find(site);
  if (at == of.by_address.end())
    at = of.by_address.emplace(site, of.lines.insert(of.lines.end(), Line{site, {}})).first;
  at->second->tickets.push_back(t);
  ++of.size;
  ++by_address_[site];
  places_.emplace(t, Place{tenant, at->second});
  return out;
}

void LoginQueue::leave(Ticket t) {
  const auto it = places_.find(t);
  const Place p = it->second;
  places_.erase(it);
  const auto count = by_address_.find(p.line->from);
  if (--count->second == 0) by_address_.erase(count);
  const auto tenant = tenants_.find(p.tenant);
  Tenant& of = tenant->second;
  if (p.line->tickets.empty()) {
    of.by_address.erase(p.line->from);
    of.lines.erase(p.line);
  }
  if (--of.size != 0) return;
  turns_.erase(of.turn);
  tenants_.erase(tenant);
}

std::optional<LoginQueue::Ticket> LoginQueue::pop() {
  if (turns_.empty()) {
    if (gone_.empty()) return std::nullopt;
    const Ticket t = gone_.front();
    gone_.pop_front();
    return t;
  }
  turns_.splice(turns_.end(), turns_, turns_.begin());
  auto& lines = tenants_.at(turns_.back()).lines;
  lines.splice(lines.end(), lines, lines.begin());
  auto& tickets = lines.back().tickets;
  const Ticket t = tickets.front();
  tickets.pop_front();
  leave(t);
  return t;
}

std::optional<LoginQueue::Ticket> LoginQueue::gone(Ticket t) {
  const auto it = places_.find(t);
  if (it == places_.end()) return std::nullopt;
  std::erase(it->second.line->tickets, t);
  leave(t);
  if (gone_.size() >= kGone) return t;
  gone_.push_back(t);
  return std::nullopt;
}

}  // namespace berth::gateway::engine
