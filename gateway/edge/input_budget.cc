#include "gateway/edge/input_budget.h"

#include "base/assert.h"

namespace berth::gateway::edge {

InputBudget::InputBudget(std::size_t limit, std::size_t connection_max)
    : limit_(limit), holders_(1) {
  const std::size_t one = std::min(limit / 2, connection_max);
  share_ = std::max(limit / 4, one);
  places_max_ = std::max(limit / 4, one);
  places_share_ = std::max(limit / 8, one);
}

InputBudget::Holder InputBudget::enter(std::uint64_t key) {
  const auto [it, fresh] = by_key_.try_emplace(key);
  if (fresh) {
    if (unused_.empty()) {
      unused_.push_back(static_cast<Holder>(holders_.size()));
      holders_.emplace_back();
    }
    it->second = unused_.back();
    unused_.pop_back();
    holders_[it->second] = {.key = key};
  }
  ++holders_[it->second].connections;
  return it->second;
}

void InputBudget::leave(Holder h) {
  if (h == kOwn) return;
  State& s = holders_[h];
  BERTH_ASSERT(s.connections != 0);
  if (--s.connections != 0) return;
  BERTH_ASSERT(s.bytes == 0 && s.places == 0);
  by_key_.erase(s.key);
  // Entries of the line keep a holder's number until they are looked at: then it is of somebody
  // else, and only a count.
  if (s.in_line == 0) unused_.push_back(h);
}

Place InputBudget::grant(Holder h, std::size_t size) {
  State& s = holders_[h];
  const bool room = reserved_ + size <= places_max_ && s.reserved + size <= places_share_;
  if (full() || (!room && s.places != 0)) return Place::none;
  ++s.places;
  if (!room) return Place::extra;
  s.reserved += size;
  reserved_ += size;
  return Place::held;
}

Place InputBudget::ask(Holder h, std::size_t size, base::ConnId conn) {
  if (h == kOwn) return Place::held;
  if (holders_[h].in_line == 0) {
    const Place p = grant(h, size);
    if (p != Place::none) return p;
  }
  ++holders_[h].in_line;
  line_.push_back({conn, h, size});
  return Place::waiting;
}

void InputBudget::give_back(Holder h, std::size_t size, Place kind) {
  if (h == kOwn || (kind != Place::held && kind != Place::extra)) return;
  State& s = holders_[h];
  --s.places;
  if (kind == Place::extra) return;
  s.reserved -= size;
  reserved_ -= size;
}

// Its last connection may have gone before.
void InputBudget::left_line(Holder h) {
  State& s = holders_[h];
  if (--s.in_line == 0 && s.connections == 0) unused_.push_back(h);
}

}  // namespace berth::gateway::edge
