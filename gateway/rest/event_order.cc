#include "gateway/rest/event_order.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <utility>

#include "gateway/rest/history_json.h"
#include "gateway/rest/times.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;

namespace {

constexpr std::size_t kAsked = 200;      // events, of all partitions together
constexpr std::size_t kFilledLists = 8;  // of the history: a device, or sites
constexpr std::size_t kFilled = 500;     // events, of each list of a partition at most
constexpr std::size_t kFilledInAll = 2000;

using Place = EventOrder::Place;

std::string text_of(const Place& p) {
  return std::to_string(p.first) + "-" + std::to_string(p.second);
}

std::optional<Place> place_of_text(const std::string& text) {
  long long ms = 0;
  unsigned long long number = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%lld-%llu%n", &ms, &number, &used) != 2) return std::nullopt;
  if (static_cast<std::size_t>(used) != text.size() || ms <= 0) return std::nullopt;
  return Place{ms, number};
}

Place position_of(const pb::HistoryEvent& e) {
  return {e.at_ms(), e.number()};
}

}  // namespace

EventOrder::EventOrder(pb::EventsQuestion about, std::uint32_t partitions)
    : about_(std::move(about)), from_(partitions) {
  about_.set_limit(static_cast<std::uint32_t>(std::max<std::size_t>(kAsked / partitions, 4)));
}

bool EventOrder::resume(const std::string& id) {
  const auto place = place_of_text(id);
  if (!place) return false;
  last_ = *place;
  for (Place& p : from_) p = {place->first, place->second + 1};
  return true;
}

bool EventOrder::wants(platform::HistoryKind k) const {
  const auto kind = static_cast<std::uint32_t>(k);
  return about_.kinds().empty() ||
         std::find(about_.kinds().begin(), about_.kinds().end(), kind) != about_.kinds().end();
}

// How many lists of the history have all that the stream is about; 0: none.
std::size_t EventOrder::lists() const {
  if (about_.tenant().empty()) return 0;
  if (!about_.device().empty()) return 1;
  const auto sites = static_cast<std::size_t>(about_.sites_size());
  return sites <= kFilledLists ? sites : 0;
}

pb::EventsQuestion EventOrder::question(std::uint32_t partition) const {
  pb::EventsQuestion q = about_;
  q.set_from_ms(from_[partition].first);
  q.set_from_number(from_[partition].second);
  return q;
}

bool EventOrder::take(Answers said) {
  std::optional<Place> through;  // of all that have answered
  for (const auto& a : said) {
    if (!a) continue;
    const Place here{a->through_ms(), a->through_number()};
    through = through ? std::min(*through, here) : here;
  }
  if (!through) return false;
  for (std::uint32_t p = 0; p < said.size(); ++p) {
    if (said[p]) take(p, *said[p], *through);
    if (said[p] || from_[p].first == 0) from_[p] = std::max(from_[p], *through);
  }
  return true;
}

// What partition `p` says, before `through`.
void EventOrder::take(std::uint32_t p, pb::EventsAnswer& a, const Place& through) {
  for (pb::HistoryEvent& e : *a.mutable_events())
    if (position_of(e) < through) now_.push_back(std::move(e));
  const Place end = std::min(Place{a.gap_ms(), a.gap_number()}, through);
  if (end <= from_[p]) return;  // nothing is missing
  if (lists() == 0) return gap(from_[p], end, "all");
  for (std::size_t i = 0; i < lists(); ++i) missing_.push_back({p, from_[p], end, i});
  if (wants(platform::HistoryKind::presence)) gap(from_[p], end, "presence");
}

void EventOrder::gap(const Place& begin, const Place& end, const char* missing) {
  const json::object o{
      {"from", text_of_time(begin.first)}, {"to", text_of_time(end.first)}, {"missing", missing}};
  waiting_.push_back({"gap", json::serialize(o), {}});
}

std::optional<EventOrder::Missing> EventOrder::next_missing() {
  if (missing_.empty()) return std::nullopt;
  const Missing m = missing_.front();
  missing_.pop_front();
  return m;
}

std::size_t EventOrder::give_up_missing() {
  const std::deque<Missing> given_up = std::exchange(missing_, {});
  for (const Missing& m : given_up) gap(m.from, m.to, "some");
  return given_up.size();
}

pb::HistoryQuestion EventOrder::question(const Missing& m) const {
  pb::HistoryQuestion q;
  q.set_tenant(about_.tenant());
  q.set_device(about_.device());
  if (about_.device().empty()) q.set_site(about_.sites(static_cast<int>(m.list)));
  q.set_from_ms(m.from.first);
  q.set_to_ms(m.to.first);
  q.set_to_number(m.to.second);
  q.set_limit(static_cast<std::uint32_t>(
      std::clamp<std::size_t>(kFilledInAll / (lists() * from_.size()), 10, kFilled)));
  *q.mutable_kinds() = about_.kinds();
  return q;
}

void EventOrder::fill(const Missing& m, const std::optional<pb::HistoryAnswer>& said) {
  if (!said || said->more()) gap(m.from, m.to, "some");
  if (!said) return;
  for (const pb::HistoryEvent& e : said->events()) {
    const auto& sites = about_.sites();
    const bool sees =
        sites.empty() || std::find(sites.begin(), sites.end(), e.site()) != sites.end();
    if (sees && position_of(e) >= m.from) now_.push_back(e);
  }
}

// All partitions have said what they have there and before.
bool EventOrder::is_complete_to(const Place& p) const {
  return std::all_of(from_.begin(), from_.end(), [&p](const Place& from) { return p < from; });
}

std::string EventOrder::json_of(const pb::HistoryEvent& e) const {
  json::object o = history_json(e);
  o["tenant"] = e.tenant().empty() ? about_.tenant() : e.tenant();
  return json::serialize(o);
}

// One that is late, because its partition did not answer, may complete what was said before: then
// it has the id of the newest.
void EventOrder::say_all() {
  std::sort(now_.begin(), now_.end(),
            [](const auto& a, const auto& b) { return position_of(a) < position_of(b); });
  for (std::size_t i = 0; i < now_.size(); ++i) {
    last_ = std::max(last_, position_of(now_[i]));
    const bool all =
        (i + 1 == now_.size() || position_of(now_[i + 1]) > last_) && is_complete_to(last_);
    waiting_.push_back({history_type(now_[i]), json_of(now_[i]), all ? text_of(last_) : ""});
  }
  now_.clear();
}

}  // namespace berth::gateway::rest
