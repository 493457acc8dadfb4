#include "gateway/rest/departures_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/wall_clock.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/causes.h"
#include "platform/departures.pb.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::size_t kNamesShown = 10;  // of each list of a time
constexpr std::int64_t kDayMs = 86'400'000;

using Counts = std::map<std::string, std::uint64_t>;

// What ended in five minutes.
struct Departed {
  Counts causes, firmwares, ranges;
  std::map<std::pair<std::string, std::string>, std::uint64_t> sites;
  std::uint64_t left_out = 0;

  void take(const pb::DeparturesRecord& r) {
    left_out += r.left_out();
    for (const pb::DeparturesOf& s : r.sites()) {
      std::uint64_t all = 0;
      for (int i = 0; i < s.causes_size(); ++i) {
        if (s.causes(i) == 0 || i >= static_cast<int>(platform::kCauses)) continue;
        causes[platform::name_of(static_cast<platform::Cause>(i))] += s.causes(i);
        all += s.causes(i);
      }
      sites[{s.tenant(), s.site()}] += all;
      for (const auto& n : s.firmwares()) firmwares[n.name()] += n.count();
      for (const auto& n : s.ranges()) ranges[n.name()] += n.count();
    }
  }
};

json::array most(const Counts& counts) {
  std::vector<std::pair<std::uint64_t, std::string>> order;
  for (const auto& [name, n] : counts) order.emplace_back(n, name);
  std::sort(order.rbegin(), order.rend());
  json::array out;
  for (std::size_t i = 0; i < std::min(order.size(), kNamesShown); ++i)
    out.push_back({{"name", order[i].second}, {"count", order[i].first}});
  return out;
}

json::object json_of(std::int64_t at_ms, const Departed& d) {
  json::object causes;
  for (const auto& [name, n] : d.causes) causes[name] = n;
  std::vector<std::pair<std::uint64_t, std::pair<std::string, std::string>>> order;
  for (const auto& [key, n] : d.sites) order.emplace_back(n, key);
  std::sort(order.rbegin(), order.rend());
  json::array sites;
  for (std::size_t i = 0; i < std::min(order.size(), kNamesShown); ++i)
    sites.push_back({{"tenant", order[i].second.first},
                     {"site", order[i].second.second},
                     {"count", order[i].first}});
  json::object o{{"at", text_of_time(at_ms)},
                 {"causes", std::move(causes)},
                 {"sites", std::move(sites)},
                 {"firmwares", most(d.firmwares)},
                 {"ranges", most(d.ranges)}};
  if (d.left_out != 0) o["left_out"] = d.left_out;
  return o;
}

}  // namespace

void DeparturesApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("GET /api/v1/insights/departures",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.who = admin::For::accounts, .body_max = 1024});
}

void DeparturesApi::list(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {{"tenant", {}}, {"site", {}}, {"from", {}}});
      !fault.empty())
    return done.answer(invalid(fault));
  pb::DeparturesQuestion q;
  q.set_tenant(rest::tenant_of(r));
  const std::string site = r.parameter("site");
  if (!site.empty() && q.tenant().empty()) return done.answer(invalid("site: of which tenant"));
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, q.tenant(), site))
    return done.answer(*no);
  add_sites(r, q);
  std::int64_t from_ms = base::wall_time().ms - kDayMs;
  if (const std::string fault = read_time(r, "from", from_ms); !fault.empty())
    return done.answer(invalid(fault));
  q.set_from_ms(from_ms);
  asker_.ask_all({AskKind::departures, kWithin_ms, q.SerializeAsString()},
                 [done](const std::vector<link::Answer>& answers) {
                   std::map<std::int64_t, Departed> all;
                   for (const link::Answer& a : answers) {
                     pb::DeparturesAnswer said;
                     if (a.error != AskError::none || !said.ParseFromString(a.bytes))
                       return done.answer(unanswered(a.error));
                     for (const pb::DeparturesRecord& one : said.items())
                       all[one.at_ms()].take(one);
                   }
                   json::array items;
                   for (const auto& [at_ms, d] : all) {
                     if (!d.causes.empty() || d.left_out != 0) items.push_back(json_of(at_ms, d));
                   }
                   done.answer(as_json({{"items", std::move(items)}, {"every_s", 300}}));
                 });
}

}  // namespace berth::gateway::rest
