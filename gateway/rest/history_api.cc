#include "gateway/rest/history_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/history_json.h"
#include "gateway/rest/unanswered.h"
#include "platform/history.h"
#include "platform/history.pb.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

// "TIME-NUMBER": before this event.
bool set_place(const std::string& place, pb::HistoryQuestion& q) {
  long long ms = 0;
  unsigned long long number = 0;
  if (std::sscanf(place.c_str(), "%lld-%llu", &ms, &number) != 2) return false;
  q.set_to_ms(ms);
  q.set_to_number(number);
  return true;
}

auto place_of(const pb::HistoryEvent& e) {
  return std::pair(e.at_ms(), e.number());
}

}  // namespace

struct HistoryApi::Page {
  Responder done;
  pb::HistoryQuestion q;
  std::vector<std::string> sites;  // that the caller sees; none: all
  SealPtr seal = nullptr;

  // Of the partitions that have more, the one that looked least far says how far all is known.
  void answer(const std::vector<link::Answer>& answers) const {
    std::vector<pb::HistoryEvent> all;
    std::pair<std::int64_t, std::uint64_t> known{0, 0};
    bool more = false;
    for (const link::Answer& a : answers) {
      pb::HistoryAnswer said;
      if (a.error != AskError::none || !said.ParseFromString(a.bytes))
        return done.answer(unanswered(a.error));
      for (auto& e : *said.mutable_events()) all.push_back(std::move(e));
      if (!said.more()) continue;
      more = true;
      known = std::max(known, {said.looked_ms(), said.looked_number()});
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return place_of(a) > place_of(b); });
    while (!all.empty() && place_of(all.back()) < known) all.pop_back();
    // A device that has come from another site brings no events of it. An engine of an older
    // release does not leave them out.
    const auto hidden = [this](const auto& e) {
      return std::find(sites.begin(), sites.end(), e.site()) == sites.end();
    };
    if (!sites.empty()) std::erase_if(all, hidden);
    if (all.size() > q.limit()) {
      all.resize(q.limit());
      more = true;
      known = place_of(all.back());
    }
    json::array items;
    for (const auto& e : all) items.push_back(history_json(e));
    json::object o{{"items", std::move(items)}};
    if (more)
      o["next"] = seal->close(lists::kHistory, q.tenant(),
                              std::to_string(known.first) + "-" + std::to_string(known.second));
    done.answer({.status = 200,
                 .content_type = "application/json",
                 .body = json::serialize(o) + "\n",
                 .headers = {},
                 .cut = more && all.size() < q.limit()});
  }
};

void HistoryApi::add_to(admin::HttpServer& http) {
  http.route_waiting(
      "GET /api/v1/history", [this](const Request& r, const Responder& d) { list(r, d); },
      {.who = admin::For::accounts, .body_max = 1024});
}

bool HistoryApi::may_ask(const std::string& tenant) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  const base::Instant now{
      duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
  rates_.sweep(now);
  return rates_.take(tenant, kPerSecond, now);
}

void HistoryApi::list(const Request& r, const Responder& done) {
  using admin::Parameter;
  static const admin::Parameters kKnown{
      {"tenant", {}}, {"device", {}}, {"site", {}},
      {"from", {}},   {"to", {}},     {"types", {}},
      {"cursor", {}}, {"q", {}},      {"limit", {Parameter::Kind::number, kListMax}}};
  if (auto no = refusal_of_list(r, kKnown)) return done.answer(*no);
  auto page = std::make_shared<Page>(Page{.done = done, .q = {}, .sites = r.caller.sites});
  pb::HistoryQuestion& q = page->q;
  q.set_tenant(tenant_of(r));
  q.set_device(r.parameter("device"));
  q.set_site(r.parameter("site"));
  q.set_q(r.parameter("q"));
  q.set_limit(static_cast<std::uint32_t>(admin::number(r, "limit", kListDefault)));
  if (q.device().empty() == q.site().empty())
    return done.answer(invalid("device or site: one of them"));
  if (r.caller.kind != admin::Caller::Kind::admin && !may_ask(q.tenant())) {
    admin::Response busy = admin::problem(
        admin::codes::kTooManyRequests,
        "more than " + std::to_string(kPerSecond) + " questions a second about the history");
    busy.headers["Retry-After"] = "1";
    return done.answer(busy);
  }
  if (!add_kinds(r.parameter("types"), platform::kStoredKinds, *q.mutable_kinds()))
    return done.answer(invalid(
        "types: of connected, ended, taken_over, refused, command, quota, changed"));
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
  std::string fault = read_time(r, "from", from_ms);
  if (fault.empty()) fault = read_time(r, "to", to_ms);
  if (!fault.empty()) return done.answer(invalid(fault));
  q.set_from_ms(from_ms);
  q.set_to_ms(to_ms);
  for (const std::string& s : page->sites) q.add_sites(s);
  begin(page, r.parameter("cursor"));
}

void HistoryApi::begin(const std::shared_ptr<Page>& page, const std::string& cursor) const {
  cursors_.get([this, page, cursor](SealPtr seal) {
    if (seal == nullptr) return page->done.answer(unanswered(AskError::not_serving));
    page->seal = std::move(seal);
    if (!cursor.empty()) {
      const auto place = page->seal->open(lists::kHistory, page->q.tenant(), cursor);
      if (!place || !set_place(*place, page->q)) return page->done.answer(bad_cursor());
    }
    if (page->sites.empty() || page->q.device().empty()) return ask(page);
    check_place(page);
  });
}

// An account of some sites sees devices of these only.
void HistoryApi::check_place(const std::shared_ptr<Page>& page) const {
  pb::DevicesQuestion q;
  q.set_tenant(page->q.tenant());
  q.set_exactly(page->q.device());
  for (const std::string& s : page->sites) q.add_sites(s);
  find_device(asker_, q, page->done, [this, page](const pb::DevicesAnswer&) { ask(page); });
}

void HistoryApi::ask(const std::shared_ptr<Page>& page) const {
  asker_.ask_all({AskKind::history, kWithin_ms, page->q.SerializeAsString()},
                 [page](const std::vector<link::Answer>& answers) { page->answer(answers); });
}

}  // namespace berth::gateway::rest
