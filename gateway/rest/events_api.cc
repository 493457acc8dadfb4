#include "gateway/rest/events_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/history_json.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/history.h"
#include "platform/history.pb.h"

namespace berth::gateway::rest {

namespace asio = boost::asio;
namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::chrono::milliseconds kLook{400};  // between two questions of a stream
constexpr std::uint32_t kWithin_ms = 5000;
constexpr std::size_t kHeld = 64 * 1024;  // bytes that its client has not read: no more is sent
constexpr std::size_t kAsked = 200;       // events, of all partitions together
constexpr std::size_t kFilledLists = 8;   // of the history: a device, or sites
constexpr std::size_t kFilled = 500;      // events, of each list of a partition at most
constexpr std::size_t kFilledInAll = 2000;

using Place = std::pair<std::int64_t, std::uint64_t>;

std::string text_of(const Place& p) {
  return std::to_string(p.first) + "-" + std::to_string(p.second);
}

std::optional<Place> place_of_text(const std::string& text) {
  long long ms = 0;
  unsigned long long number = 0;
  if (std::sscanf(text.c_str(), "%lld-%llu", &ms, &number) != 2) return std::nullopt;
  return Place{ms, number};
}

base::Instant steady_now() {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return {duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

Place place_of(const pb::HistoryEvent& e) {
  return {e.at_ms(), e.number()};
}

}  // namespace

struct EventsApi::Stream {
  struct Out {
    std::string name, data, id;
  };
  struct Missing {  // an engine has it in the store only
    std::uint32_t partition = 0;
    Place from, to;
    std::size_t list = 0;
  };
  admin::EventStream events;
  pb::EventsQuestion q;
  SealPtr seal = nullptr;
  std::string account = {};  // whose share of the history it uses
  std::vector<Place> from;            // by partition: what has not been said
  Place last{};                       // the newest that was said
  std::deque<Out> waiting;            // for its client to read
  std::vector<pb::HistoryEvent> now;  // of the answers that are looked at
  std::deque<Missing> missing;        // from `now`, asked of the history one by one
  std::optional<base::Instant> waits_until = {};  // for a share of the history
  bool asking = false;
  bool begun = false;

  bool wants(platform::HistoryKind k) const {
    const auto kind = static_cast<std::uint32_t>(k);
    return q.kinds().empty() ||
           std::find(q.kinds().begin(), q.kinds().end(), kind) != q.kinds().end();
  }
  // How many lists of the history have all that it is about; 0: none.
  std::size_t lists() const {
    if (q.tenant().empty()) return 0;
    if (!q.device().empty()) return 1;
    const auto sites = static_cast<std::size_t>(q.sites_size());
    return sites <= kFilledLists ? sites : 0;
  }
  void gap(const Place& begin, const Place& end, const char* missing_kind) {
    const json::object o{{"from", text_of_time(begin.first)},
                         {"to", text_of_time(end.first)},
                         {"missing", missing_kind}};
    waiting.push_back({"gap", json::serialize(o), {}});
  }
  // What is late, because its partition did not answer, has no id: one that comes again asks for
  // what follows the newest.
  void say(const pb::HistoryEvent& e) {
    json::object o = history_json(e);
    o["tenant"] = e.tenant().empty() ? q.tenant() : e.tenant();
    const bool newer = place_of(e) > last;
    std::string id;
    if (newer) id = seal->close(lists::kEvents, q.tenant(), text_of(place_of(e)));
    waiting.push_back({history_type(e), json::serialize(o), std::move(id)});
    if (newer) last = place_of(e);
  }
  void say_all() {
    std::sort(now.begin(), now.end(),
              [](const auto& a, const auto& b) { return place_of(a) < place_of(b); });
    for (const pb::HistoryEvent& e : now) say(e);
    now.clear();
  }
  // What partition `p` says, before `through`.
  void take(std::uint32_t p, pb::EventsAnswer& a, const Place& through) {
    for (pb::HistoryEvent& e : *a.mutable_events())
      if (place_of(e) < through) now.push_back(std::move(e));
    const Place end = std::min(Place{a.gap_ms(), a.gap_number()}, through);
    if (end <= from[p]) return;  // nothing is missing
    if (lists() == 0) return gap(from[p], end, "all");
    for (std::size_t i = 0; i < lists(); ++i) missing.push_back({p, from[p], end, i});
    if (wants(platform::HistoryKind::presence)) gap(from[p], end, "presence");
  }
  // What the history says of it.
  void fill(const Missing& m, const link::Answer& a) {
    pb::HistoryAnswer said;
    const bool good = a.error == AskError::none && said.ParseFromString(a.bytes);
    if (!good || said.more()) gap(m.from, m.to, "some");
    for (pb::HistoryEvent& e : *said.mutable_events()) {
      const auto& sites = q.sites();
      const bool sees =
          sites.empty() || std::find(sites.begin(), sites.end(), e.site()) != sites.end();
      if (sees && place_of(e) >= m.from) now.push_back(std::move(e));
    }
  }
  // True: its client has read enough for more.
  bool send() {
    while (!waiting.empty() && events.held() < kHeld) {
      const Out o = std::move(waiting.front());
      waiting.pop_front();
      if (!events.send(o.name, o.data, o.id)) return false;
    }
    return waiting.empty() && events.held() < kHeld;
  }
};

void EventsApi::add_to(admin::HttpServer& http) {
  http_ = &http;
  timer_ = std::make_unique<asio::steady_timer>(http.home().io());
  http.route_stream("GET /api/v1/events",
                    [this](const Request& r, const admin::EventStream& e) { open(r, e); },
                    {.who = admin::For::accounts, .body_max = 1024});
}

void EventsApi::open(const Request& r, const admin::EventStream& events) {
  const auto invalid = [&events](const std::string& why) {
    events.refuse(admin::problem(admin::codes::kInvalid, why));
  };
  static const admin::Parameters kKnown{
      {"tenant", {}}, {"site", {}}, {"device", {}}, {"types", {}}, {"last_event_id", {}}};
  if (const std::string fault = admin::fault_of(r, kKnown); !fault.empty()) return invalid(fault);
  const auto s = std::make_shared<Stream>(Stream{.events = events});
  s->account = r.caller.id;
  const std::string tenant = r.parameter("tenant");
  const std::string site = r.parameter("site");
  s->q.set_tenant(tenant.empty() ? r.caller.tenant : tenant);
  s->q.set_device(r.parameter("device"));
  if (s->q.tenant().empty() && !(site + s->q.device()).empty())
    return invalid("site, device: of which tenant");
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, s->q.tenant(), site))
    return events.refuse(*no);
  if (!site.empty()) s->q.add_sites(site);
  if (site.empty())
    for (const std::string& own : r.caller.sites) s->q.add_sites(own);
  if (!add_kinds(r.parameter("types"), platform::kHistoryKinds, *s->q.mutable_kinds()))
    return invalid(
        "types: of presence, connected, ended, taken_over, refused, command, quota, changed");
  std::string id = r.header("last-event-id");
  if (id.empty()) id = r.parameter("last_event_id");
  s->from.resize(partitions_);
  s->q.set_limit(static_cast<std::uint32_t>(std::max<std::size_t>(kAsked / partitions_, 4)));
  cursors_.get([this, s, id](SealPtr seal) {
    if (seal == nullptr) return s->events.refuse(unanswered(AskError::not_serving));
    s->seal = std::move(seal);
    begin(s, id);
  });
}

// `id`: of the last event that the client has; empty: from now on.
void EventsApi::begin(const StreamPtr& s, const std::string& id) {
  if (!id.empty()) {
    const auto text = s->seal->open(lists::kEvents, s->q.tenant(), id);
    const auto place = text ? place_of_text(*text) : std::nullopt;
    if (!place) return s->events.refuse(bad_cursor("Last-Event-ID"));
    s->last = *place;
    for (Place& p : s->from) p = {place->first, place->second + 1};
  }
  streams_.push_back(s);
  s->events.on_over([this, alive = std::weak_ptr<bool>(alive_), weak = std::weak_ptr<Stream>(s)] {
    if (!alive.expired()) std::erase(streams_, weak.lock());
  });
  ask(s);
  arm();
}

void EventsApi::arm() {
  if (streams_.empty() || std::exchange(armed_, true)) return;
  timer_->expires_after(kLook);
  timer_->async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    armed_ = false;
    look();
    arm();
  });
}

void EventsApi::look() {
  const std::vector<StreamPtr> all = streams_;  // one that is over leaves the table
  for (const StreamPtr& s : all) {
    const bool has_room = s->send();
    if (s->asking) continue;
    if (!s->missing.empty()) {
      fill(s);
    } else if (has_room) {
      ask(s);
    }
  }
  fills_.sweep(steady_now());
}

// Each partition of what it has not said yet.
void EventsApi::ask(const StreamPtr& s) {
  struct Gathering {
    std::vector<link::Answer> answers;
    std::size_t missing;
  };
  s->asking = true;
  const auto all =
      std::make_shared<Gathering>(Gathering{std::vector<link::Answer>(partitions_), partitions_});
  for (std::uint32_t p = 0; p < partitions_; ++p) {
    s->q.set_from_ms(s->from[p].first);
    s->q.set_from_number(s->from[p].second);
    asker_.ask_partition(p, {AskKind::events, kWithin_ms, s->q.SerializeAsString()},
                         [this, alive = std::weak_ptr<bool>(alive_), s, all, p](link::Answer a) {
                           all->answers[p] = std::move(a);
                           if (--all->missing == 0 && !alive.expired()) answered(s, all->answers);
                         });
  }
}

void EventsApi::answered(const StreamPtr& s, const std::vector<link::Answer>& answers) {
  s->asking = false;
  if (s->events.over()) return;
  std::vector<std::optional<pb::EventsAnswer>> said(answers.size());
  std::optional<Place> through;  // of all that have answered
  for (std::size_t p = 0; p < answers.size(); ++p) {
    pb::EventsAnswer a;
    if (answers[p].error != AskError::none || !a.ParseFromString(answers[p].bytes)) continue;
    const Place here{a.through_ms(), a.through_number()};
    through = through ? std::min(*through, here) : here;
    said[p] = std::move(a);
  }
  if (!through && !s->begun)
    return s->events.refuse(unanswered(answers.front().error));
  if (!std::exchange(s->begun, true)) s->events.begin();
  if (!through) return;
  for (std::uint32_t p = 0; p < said.size(); ++p) {
    if (said[p]) s->take(p, *said[p], *through);
    if (said[p] || s->from[p].first == 0) s->from[p] = std::max(s->from[p], *through);
  }
  fill(s);
}

// False: not now. What waits for too long is missing for its client.
bool EventsApi::may_fill(Stream& s) {
  const base::Instant now = steady_now();
  if (fills_.take(s.account, kFillsPerSecond, now)) return true;
  if (!s.waits_until) s.waits_until = base::Instant{now.ms + kFillWait_ms};
  if (now < *s.waits_until) return false;
  for (const Stream::Missing& m : std::exchange(s.missing, {})) {
    s.gap(m.from, m.to, "some");
    http_->count_cut_resume();
  }
  return false;
}

// From the history what is missing, behind the newest that was said; then all of it is said.
void EventsApi::fill(const StreamPtr& s) {
  if (!s->missing.empty() && !may_fill(*s) && !s->missing.empty()) return;  // look() comes again
  if (s->missing.empty()) {
    s->waits_until.reset();
    s->say_all();
    s->send();
    return;
  }
  const Stream::Missing m = s->missing.front();
  s->missing.pop_front();
  pb::HistoryQuestion q;
  q.set_tenant(s->q.tenant());
  q.set_device(s->q.device());
  if (s->q.device().empty()) q.set_site(s->q.sites(static_cast<int>(m.list)));
  q.set_from_ms(m.from.first);
  q.set_to_ms(m.to.first);
  q.set_to_number(m.to.second);
  q.set_limit(static_cast<std::uint32_t>(
      std::clamp<std::size_t>(kFilledInAll / (s->lists() * partitions_), 10, kFilled)));
  *q.mutable_kinds() = s->q.kinds();
  s->asking = true;
  asker_.ask_partition(m.partition, {AskKind::history, kWithin_ms, q.SerializeAsString()},
                       [this, alive = std::weak_ptr<bool>(alive_), s, m](const link::Answer& a) {
                         if (alive.expired()) return;
                         s->asking = false;
                         s->fill(m, a);
                         fill(s);
                       });
}

}  // namespace berth::gateway::rest
