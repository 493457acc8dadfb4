#include "platform/recent_events.h"

#include <algorithm>
#include <deque>

#include "platform/history.pb.h"
#include "platform/records.h"

namespace berth::platform {

namespace {

RecentEvents::Place place_of(const pb::HistoryEvent& e) {
  return {e.at_ms(), e.number()};
}

template <class List, class Value>
bool is_or_none(const List& list, const Value& v) {
  return list.empty() || std::find(list.begin(), list.end(), v) != list.end();
}

bool wants(const pb::EventsQuestion& q, const pb::HistoryEvent& e) {
  return (q.tenant().empty() || q.tenant() == e.tenant()) &&
         (q.device().empty() || q.device() == e.device() ||
          std::find(e.children().begin(), e.children().end(), q.device()) != e.children().end()) &&
         is_or_none(q.sites(), e.site()) && is_or_none(q.kinds(), e.kind());
}

}  // namespace

struct RecentEvents::Kept {
  std::deque<pb::HistoryEvent> events;
};

bool RecentEvents::is_key(std::string_view key) {
  return key == kKey;
}

void RecentEvents::restored(std::string_view record) {
  if (record.size() != 8) return;
  stored_ms_ = from_big_endian(record);
  least_ms_ = std::max(least_ms_, stored_ms_);
}

std::string RecentEvents::record() {
  if (said_ms_ <= stored_ms_) return {};
  stored_ms_ = said_ms_ + kAhead_ms;
  return big_endian(stored_ms_);
}

RecentEvents::RecentEvents() : kept_(std::make_unique<Kept>()) {}
RecentEvents::~RecentEvents() = default;

void RecentEvents::add(std::string_view tenant, pb::HistoryEvent&& e) {
  std::deque<pb::HistoryEvent>& events = kept_->events;
  least_ms_ = std::max(least_ms_, e.at_ms());
  e.set_tenant(std::string(tenant));
  events.push_back(std::move(e));
  if (events.size() <= kKept) return;
  known_from_ = {events.front().at_ms(), events.front().number() + 1};
  events.pop_front();
}

std::string RecentEvents::answer(std::string_view question, std::int64_t wall_ms) {
  pb::EventsQuestion q;
  pb::EventsAnswer a;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  const std::deque<pb::HistoryEvent>& events = kept_->events;
  const std::int64_t newest_ms = events.empty() ? 0 : events.back().at_ms();
  Place through{std::max(time_for(wall_ms + 1), newest_ms + 1), 0};  // behind all that is here
  const Place from = q.from_ms() == 0 ? through : Place{q.from_ms(), q.from_number()};
  if (from < known_from_) {
    ++gaps_;
    a.set_gap_ms(known_from_.first);
    a.set_gap_number(known_from_.second);
  }
  const std::size_t limit = std::clamp<std::size_t>(q.limit(), 1, kListed);
  const auto before = [](const pb::HistoryEvent& e, const Place& p) { return place_of(e) < p; };
  for (auto it = std::lower_bound(events.begin(), events.end(), from, before); it != events.end();
       ++it) {
    if (!wants(q, *it)) continue;
    *a.add_events() = *it;
    if (static_cast<std::size_t>(a.events_size()) < limit) continue;
    through = {it->at_ms(), it->number() + 1};
    break;
  }
  least_ms_ = std::max(least_ms_, through.first);
  said_ms_ = std::max(said_ms_, through.first);
  a.set_through_ms(through.first);
  a.set_through_number(through.second);
  return a.SerializeAsString();
}

}  // namespace berth::platform
