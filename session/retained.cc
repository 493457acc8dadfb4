#include "session/retained.h"

#include "session/topic_order.h"

namespace berth::session {

bool Retained::claim(std::string_view topic, std::uint64_t stamp) {
  auto it = messages_.find(topic);
  if (it == messages_.end()) it = messages_.emplace(std::string(topic), Entry{}).first;
  if (it->second.stamp >= stamp) return false;
  it->second.stamp = stamp;
  return true;
}

void Retained::drop(std::string_view topic, Entry& e) {
  if (!e.message) return;
  bytes_ -= e.message->size();
  --count_;
  counter_(topic, -1);
  e.message = {};
}

bool Retained::put(std::string_view topic, MessagePtr m, std::uint64_t stamp) {
  auto it = messages_.find(topic);
  if (it == messages_.end()) it = messages_.emplace(std::string(topic), Entry{}).first;
  Entry& e = it->second;
  if (stamp < e.stamp) return false;
  drop(topic, e);
  bytes_ += m->size();
  ++count_;
  counter_(topic, 1);
  e = {std::move(m), stamp};
  return true;
}

bool Retained::remove(std::string_view topic, std::uint64_t stamp, std::int64_t now_ms) {
  auto it = messages_.find(topic);
  if (stamp == 0) {
    if (it == messages_.end()) return false;
    const bool had = static_cast<bool>(it->second.message);
    drop(topic, it->second);
    messages_.erase(it);
    return had;
  }
  if (it == messages_.end()) it = messages_.emplace(std::string(topic), Entry{}).first;
  if (stamp < it->second.stamp) return false;
  drop(topic, it->second);
  it->second.stamp = stamp;
  tombstones_.emplace_back(now_ms, std::string(topic));
  return true;
}

void Retained::forget(std::string_view topic) {
  const auto it = messages_.find(topic);
  if (it == messages_.end()) return;
  drop(topic, it->second);
  messages_.erase(it);
}

std::vector<std::string> Retained::old_tombstones(std::int64_t before_ms, std::size_t most,
                                                  std::size_t count) {
  std::vector<std::string> old;
  const auto due = [&] {
    return !tombstones_.empty() && old.size() < count &&
           (tombstones_.front().first < before_ms || tombstones_.size() > most);
  };
  for (; due(); tombstones_.pop_front()) {
    const auto it = messages_.find(tombstones_.front().second);
    if (it == messages_.end() || it->second.message) continue;  // retained again
    messages_.erase(it);
    old.push_back(std::move(tombstones_.front().second));
  }
  return old;
}

Retained::Found Retained::next(std::string_view filter, std::string& after,
                               TurnBudget& budget) const {
  budget.take(TurnBudget::kSeek);
  const std::size_t wild = filter.find_first_of("+#");
  if (wild == std::string_view::npos) {
    const auto it = messages_.find(filter);
    const bool there = it != messages_.end() && it->second.message && after.empty();
    return {.message = there ? &it->second.message : nullptr};
  }
  // "a/#" also matches "a", which does not begin with "a/".
  std::string_view prefix = filter.substr(0, wild);
  if (filter[wild] == '#' && prefix.ends_with('/')) prefix.remove_suffix(1);
  auto it = after.empty() ? messages_.lower_bound(prefix) : messages_.upper_bound(after);
  std::string to;
  while (it != messages_.end()) {
    budget.take(TurnBudget::kLook);
    const Place place = place_of(filter, it->first, to);
    if (place == Place::end) break;
    if (place == Place::match && it->second.message) return {.message = &it->second.message};
    if (budget.share_spent()) {
      after = it->first;
      return {.paused = true};
    }
    if (place == Place::seek) {
      budget.take(TurnBudget::kSeek);
      it = messages_.lower_bound(to);
    } else {
      ++it;
    }
  }
  return {};
}

std::vector<Retained::Expired> Retained::expired(base::Instant now, std::string& after,
                                                 std::size_t count) const {
  std::vector<Expired> out;
  auto it = messages_.upper_bound(after);
  for (; it != messages_.end() && count != 0; ++it, --count) {
    const Entry& e = it->second;
    if (e.message && e.message->view().expires_at <= now) out.push_back({it->first, e.stamp});
    if (count == 1) after = it->first;
  }
  if (it == messages_.end()) after.clear();
  return out;
}

}  // namespace berth::session
