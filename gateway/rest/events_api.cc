#include "gateway/rest/events_api.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/event_order.h"
#include "gateway/rest/history_json.h"
#include "gateway/rest/report_feed.h"
#include "gateway/rest/unanswered.h"
#include "platform/history.h"
#include "platform/history.pb.h"

namespace berth::gateway::rest {

namespace asio = boost::asio;
namespace pb = platform::pb;
using admin::Request;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::chrono::milliseconds kLook{400};  // between two questions of a stream
constexpr std::size_t kHeld = 64 * 1024;  // bytes that its client has not read: no more is sent

base::Instant steady_now() {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return {duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

template <class Said>
std::optional<Said> parsed(const link::Answer& a) {
  Said said;
  if (a.error != AskError::none || !said.ParseFromString(a.bytes)) return std::nullopt;
  return said;
}

}  // namespace

struct EventsApi::Stream {
  admin::EventStream events;
  std::string tenant;  // empty: all
  EventOrder order;
  std::string account;                                      // whose share of the history it uses
  SealPtr seal = nullptr;                                   // of ids
  std::optional<base::Instant> waits_until = std::nullopt;  // for a share of the history
  std::optional<ReportFeed> reports = std::nullopt;         // if they are wanted
  bool asking = false;
  bool begun = false;

  // True: its client has read enough for more.
  bool send() {
    std::deque<EventOrder::Out>& waiting = order.waiting();
    while (!waiting.empty() && events.held() < kHeld) {
      const EventOrder::Out o = std::move(waiting.front());
      waiting.pop_front();
      const std::string id =
          o.id.empty() ? std::string() : seal->close(lists::kEvents, tenant, o.id);
      if (!events.send(o.name, o.data, id)) return false;
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
  static const admin::Parameters kKnown{{"tenant", {}},
                                        {"site", {}},
                                        {"device", {}},
                                        {"types", {}},
                                        {"since", {}},
                                        {"last_event_id", {}},
                                        {"reports", {admin::Parameter::Kind::flag}}};
  if (const std::string fault = admin::fault_of(r, kKnown); !fault.empty()) return invalid(fault);
  pb::EventsQuestion q;
  const std::string tenant = r.parameter("tenant");
  const std::string site = r.parameter("site");
  q.set_tenant(tenant.empty() ? r.caller.tenant : tenant);
  q.set_device(r.parameter("device"));
  if (q.tenant().empty() && !(site + q.device()).empty())
    return invalid("site, device: of which tenant");
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, q.tenant(), site))
    return events.refuse(*no);
  if (!site.empty()) q.add_sites(site);
  if (site.empty())
    for (const std::string& own : r.caller.sites) q.add_sites(own);
  if (!add_kinds(r.parameter("types"), platform::kHistoryKinds, *q.mutable_kinds()))
    return invalid(
        "types: of presence, connected, ended, taken_over, refused, command, quota, changed");
  std::string id = r.header("last-event-id");
  if (id.empty()) id = r.parameter("last_event_id");
  std::int64_t since_ms = 0;
  if (const std::string fault = read_time(r, "since", since_ms); !fault.empty())
    return invalid(fault);
  if (admin::flag(r, "reports") && q.device().empty()) return invalid("reports: of one device");
  const std::string of = q.tenant();
  std::optional<ReportFeed> reports;
  if (admin::flag(r, "reports"))
    reports.emplace(of, q.device(), std::vector<std::string>{q.sites().begin(), q.sites().end()},
                    r.caller.may_see_plates, partitions_);
  const auto s = std::make_shared<Stream>(
      Stream{events, of, EventOrder(std::move(q), partitions_), r.caller.id});
  s->reports = std::move(reports);
  // Before the first event of that time; an id says more.
  if (id.empty() && since_ms > 0) (void)s->order.resume(std::to_string(since_ms) + "-0");
  cursors_.get([this, s, id](SealPtr seal) {
    if (seal == nullptr) return s->events.refuse(unanswered(AskError::not_serving));
    s->seal = std::move(seal);
    begin(s, id);
  });
}

// `id`: of the last event that the client has; empty: from now on.
void EventsApi::begin(const StreamPtr& s, const std::string& id) {
  if (!id.empty()) {
    const auto place = s->seal->open(lists::kEvents, s->tenant, id);
    if (!place || !s->order.resume(*place)) return s->events.refuse(bad_cursor("Last-Event-ID"));
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
    if (s->reports && s->begun && has_room) ask_reports(s);
    if (s->asking) continue;
    if (s->order.is_missing()) {
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
    asker_.ask_partition(p, {AskKind::events, kWithin_ms, s->order.question(p).SerializeAsString()},
                         [this, alive = std::weak_ptr<bool>(alive_), s, all, p](link::Answer a) {
                           all->answers[p] = std::move(a);
                           if (--all->missing == 0 && !alive.expired()) answered(s, all->answers);
                         });
  }
}

void EventsApi::answered(const StreamPtr& s, const std::vector<link::Answer>& answers) {
  s->asking = false;
  if (s->events.over()) return;
  EventOrder::Answers said;
  for (const link::Answer& a : answers) said.push_back(parsed<pb::EventsAnswer>(a));
  const bool any = s->order.take(std::move(said));
  if (!any && !s->begun) return s->events.refuse(unanswered(answers.front().error));
  if (!std::exchange(s->begun, true)) s->events.begin();
  if (any) fill(s);
}

// They have no place among the events, and are not said again after a break.
void EventsApi::ask_reports(const StreamPtr& s) {
  if (std::exchange(s->reports->asking, true)) return;
  const auto missing = std::make_shared<std::uint32_t>(partitions_);
  for (std::uint32_t p = 0; p < partitions_; ++p) {
    asker_.ask_partition(p, {AskKind::watch_reports, kWithin_ms, s->reports->question(p)},
                         [s, p, missing](const link::Answer& a) {
                           if (a.error == AskError::none) {
                             for (const std::string& data : s->reports->take(p, a.bytes))
                               s->events.send("report", data);
                           }
                           if (--*missing == 0) s->reports->asking = false;
                         });
  }
}

// False: not now. What waits for too long is missing for its client.
bool EventsApi::may_fill(Stream& s) {
  const base::Instant now = steady_now();
  if (fills_.take(s.account, kFillsPerSecond, now)) return true;
  if (!s.waits_until) s.waits_until = base::Instant{now.ms + kFillWait_ms};
  if (now < *s.waits_until) return false;
  for (std::size_t n = s.order.give_up_missing(); n != 0; --n) http_->count_cut_resume();
  return false;
}

// From the history what is missing, behind the newest that was said; then all of it is said.
void EventsApi::fill(const StreamPtr& s) {
  if (s->order.is_missing() && !may_fill(*s) && s->order.is_missing()) return;  // until look()
  const auto m = s->order.next_missing();
  if (!m) {
    s->waits_until.reset();
    s->order.say_all();
    s->send();
    return;
  }
  s->asking = true;
  asker_.ask_partition(m->partition,
                       {AskKind::history, kWithin_ms, s->order.question(*m).SerializeAsString()},
                       [this, alive = std::weak_ptr<bool>(alive_), s, m](const link::Answer& a) {
                         if (alive.expired()) return;
                         s->asking = false;
                         s->order.fill(*m, parsed<pb::HistoryAnswer>(a));
                         fill(s);
                       });
}

}  // namespace berth::gateway::rest
