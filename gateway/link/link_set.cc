#include "gateway/link/link_set.h"

#include <algorithm>

namespace berth::gateway::link {

EngineLink& LinkSet::add(std::unique_ptr<EngineLink> link) {
  links_.push_back(std::move(link));
  return *links_.back();
}

bool LinkSet::sockets_empty() const {
  return std::all_of(links_.begin(), links_.end(), [](const auto& l) { return l->all_sent(); });
}

bool LinkSet::all_sent() const {
  return waiting_.empty() && sockets_empty();
}

void LinkSet::flush() {
  const bool late =
      std::any_of(links_.begin(), links_.end(), [](const auto& l) { return l->has_late(); });
  if (waiting_.empty() && !late) {  // as nearly always
    for (const auto& l : links_) {
      l->encode_turn(l->out());
      l->flush();
    }
    return;
  }
  const auto gather = [&](bool apart, void (EngineLink::*encode)(std::string&)) {
    Stage s{.apart = apart, .frames = std::vector<std::string>(links_.size())};
    for (std::size_t i = 0; i < links_.size(); ++i) {
      if (!apart || links_[i]->has_late()) ((*links_[i]).*encode)(s.frames[i]);
    }
    waiting_.push_back(std::move(s));
  };
  gather(false, &EngineLink::encode_turn);
  if (late) gather(true, &EngineLink::encode_late);
  push_on();
}

void LinkSet::push_on() {
  while (!waiting_.empty()) {
    if (waiting_.front().apart && !sockets_empty()) return;
    write(waiting_.front());
    waiting_.pop_front();
  }
}

void LinkSet::write(Stage& stage) {
  for (std::size_t i = 0; i < links_.size(); ++i) {
    links_[i]->out().append(stage.frames[i]);
    links_[i]->flush();
  }
}

}  // namespace berth::gateway::link
