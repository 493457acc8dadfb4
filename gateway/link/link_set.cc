#include "gateway/link/link_set.h"

#include <algorithm>

#include "base/assert.h"

namespace berth::gateway::link {

EngineLink& LinkSet::add(std::unique_ptr<EngineLink> link) {
  links_.push_back(std::move(link));
  return *links_.back();
}

void LinkSet::put(std::uint32_t number, std::unique_ptr<EngineLink> link) {
  if (number >= links_.size()) links_.resize(number + 1);
  BERTH_ASSERT(!links_[number]);
  links_[number] = std::move(link);
}

std::unique_ptr<EngineLink> LinkSet::take(std::uint32_t number) {
  return number < links_.size() ? std::move(links_[number]) : nullptr;
}

bool LinkSet::attached(EnginePort& engine) {
  ++attached_;
  if (!all_attached()) return false;
  engine.attached_all();
  for (const auto& l : links_) l->go();
  return true;
}

bool LinkSet::all_sent() const {
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& l) { return !l || (l->all_sent() && l->nothing_gathered()); });
}

bool LinkSet::all_accepted() const {
  return std::all_of(links_.begin(), links_.end(), [](const auto& l) {
    return !l || (l->all_accepted() && l->nothing_gathered());
  });
}

void LinkSet::flush() {
  for (const auto& l : links_) {
    if (l) l->flush();
  }
}

}  // namespace berth::gateway::link
