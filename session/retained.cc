#include "session/retained.h"

#include "protocol/mqtt/topic.h"

namespace berth::session {

void Retained::put(std::string_view topic, MessagePtr m) {
  auto it = messages_.find(topic);
  bytes_ += m->size();
  if (it == messages_.end()) {
    messages_.emplace(std::string(topic), std::move(m));
  } else {
    bytes_ -= it->second->size();
    it->second = std::move(m);
  }
}

bool Retained::remove(std::string_view topic) {
  const auto it = messages_.find(topic);
  if (it == messages_.end()) return false;
  bytes_ -= it->second->size();
  messages_.erase(it);
  return true;
}

const MessagePtr* Retained::next(std::string_view filter, std::string_view after) const {
  const std::size_t wild = filter.find_first_of("+#");
  if (wild == std::string_view::npos) {
    const auto it = messages_.find(filter);
    return it != messages_.end() && after.empty() ? &it->second : nullptr;
  }
  // "a/#" also matches "a", which does not begin with "a/".
  std::string_view prefix = filter.substr(0, wild);
  if (filter[wild] == '#' && prefix.ends_with('/')) prefix.remove_suffix(1);
  auto it = after.empty() ? messages_.lower_bound(prefix) : messages_.upper_bound(after);
  for (; it != messages_.end() && std::string_view(it->first).starts_with(prefix); ++it) {
    if (protocol::mqtt::filter_matches(filter, it->first)) return &it->second;
  }
  return nullptr;
}

}  // namespace berth::session
