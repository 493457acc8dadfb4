#include "gateway/rest/insights_api.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <utility>
#include <vector>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/causes.h"
#include "platform/insights.pb.h"
#include "platform/traffic.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using platform::InsightList;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::uint32_t kInsightsWithin_ms = 5000;
constexpr std::size_t kInsightsDefault = 50;
constexpr std::size_t kInsightsMax = 200;

struct Listed {
  const char* name;
  InsightList list;
};
constexpr std::array<Listed, 7> kLists{{{"flapping", InsightList::flapping},
                                        {"refused", InsightList::refused},
                                        {"slow", InsightList::slow},
                                        {"traffic", InsightList::traffic},
                                        {"shared-ids", InsightList::shared_ids},
                                        {"ends", InsightList::ends},
                                        {"connections", InsightList::connections}}};
constexpr std::array<const char*, 3> kBy{"device", "site", "tenant"};  // platform::TrafficBy

// Where two partitions speak of the same.
std::string key_of(InsightList list, const pb::Insight& i) {
  std::string key = i.tenant() + '\0' + i.site() + '\0' + (i.is_account() ? "a" : "d") + i.name();
  if (list == InsightList::refused) key += '\0' + i.address() + '\0' + i.reason();
  const bool by_client = list == InsightList::slow || list == InsightList::shared_ids ||
                         list == InsightList::traffic || i.name().empty();
  if (list == InsightList::connections) key += '\0' + i.address();
  if (by_client && list != InsightList::refused) key += '\0' + i.client_id();
  return key;
}

void add(pb::Insight& to, pb::Insight&& more) {
  more.set_count(to.count() + more.count());
  more.set_queue(to.queue() + more.queue());
  more.set_queue_bytes(to.queue_bytes() + more.queue_bytes());
  more.set_ended(to.ended() + more.ended());
  more.set_bytes(to.bytes() + more.bytes());
  more.set_messages(to.messages() + more.messages());
  more.set_last_ms(std::max(to.last_ms(), more.last_ms()));
  for (int c = 0; c < std::min(to.causes_size(), more.causes_size()); ++c)
    more.set_causes(c, to.causes(c) + more.causes(c));
  to = std::move(more);
}

std::string main_cause(const pb::Insight& i) {
  const auto most = std::max_element(i.causes().begin(), i.causes().end());
  if (most == i.causes().end() || *most == 0) return {};
  return platform::name_of(static_cast<platform::Cause>(most - i.causes().begin()));
}

void put(json::object& o, const char* name, const std::string& value) {
  if (!value.empty()) o[name] = value;
}

void put_who(json::object& o, const pb::Insight& i) {
  put(o, "tenant", i.tenant());
  put(o, "site", i.site());
  put(o, i.is_account() ? "account" : i.tenant().empty() ? "user" : "device", i.name());
}

json::object json_of(InsightList list, const pb::Insight& i) {
  json::object o;
  if (list == InsightList::refused) {
    put(o, "tenant", i.tenant());
    put(o, "site", i.site());
    o["name"] = i.name();
  } else {
    put_who(o, i);
  }
  put(o, "client_id", i.client_id());
  if (list == InsightList::shared_ids) {
    json::array addresses;
    for (const std::string& a : {i.other_address(), i.address()})
      if (!a.empty()) addresses.emplace_back(a);
    o["addresses"] = std::move(addresses);
    o["take_overs"] = i.count();
  } else {
    put(o, "address", i.address());
  }
  if (list == InsightList::flapping) {
    o["ends"] = i.count();
    put(o, "cause", main_cause(i));
  }
  if (list == InsightList::connections) o["connections"] = i.count();
  if (list == InsightList::ends) {
    put(o, "cause", platform::name_of(static_cast<platform::Cause>(i.cause())));
    put(o, "detail", i.detail());
    put(o, "protocol", i.protocol());
    o["at"] = text_of_time(i.last_ms());
    return o;
  }
  if (list == InsightList::refused) {
    o["reason"] = i.reason();
    o["count"] = i.count();
  }
  if (list == InsightList::slow) {
    o["queue"] = i.queue();
    o["queue_bytes"] = i.queue_bytes();
    o["dropped"] = i.count();
    o["ended"] = i.ended();
  }
  if (list == InsightList::traffic) {
    if (i.client_id().empty()) o["messages_per_s"] = i.messages();
    o["bytes_per_s"] = i.bytes();
  }
  if (i.last_ms() != 0) o["last"] = text_of_time(i.last_ms());
  return o;
}

struct Asking {
  Responder done;
  InsightList list{};
  std::size_t limit = 0;

  void answer(const std::vector<link::Answer>& answers) const {
    std::map<std::string, pb::Insight> all;
    std::int64_t since_ms = 0;
    for (const link::Answer& a : answers) {
      pb::InsightsAnswer said;
      if (a.error != AskError::none || !said.ParseFromString(a.bytes))
        return done.answer(unanswered(a.error));
      since_ms = std::max(since_ms, said.since_ms());
      for (auto& i : *said.mutable_items()) {
        // An end is one thing that happened: nothing adds up.
        std::string key = list == InsightList::ends ? std::to_string(all.size()) : key_of(list, i);
        const auto it = all.find(key);
        if (it == all.end()) {
          all.emplace(std::move(key), std::move(i));
        } else {
          add(it->second, std::move(i));
        }
      }
    }
    std::vector<const pb::Insight*> order;
    for (const auto& [key, i] : all) order.push_back(&i);
    const bool traffic = list == InsightList::traffic;
    std::stable_sort(order.begin(), order.end(), [traffic, this](const auto* a, const auto* b) {
      if (list == InsightList::ends) return a->last_ms() > b->last_ms();
      return traffic ? a->bytes() > b->bytes()
                     : std::pair(a->count(), a->queue()) > std::pair(b->count(), b->queue());
    });
    if (order.size() > limit) order.resize(limit);
    json::array items;
    for (const pb::Insight* i : order) items.push_back(json_of(list, *i));
    json::object o{{"items", std::move(items)}};
    if (since_ms != 0) o["since"] = text_of_time(since_ms);
    done.answer({.status = 200,
                 .content_type = "application/json",
                 .body = json::serialize(o) + "\n",
                 .headers = {}});
  }
};

}  // namespace

void InsightsApi::add_to(admin::HttpServer& http) {
  for (const Listed& l : kLists) {
    http.route_waiting(
        std::string("GET /api/v1/insights/") + l.name,
        [this, list = l.list](const Request& r, const Responder& d) { this->list(list, r, d); },
        {.who = admin::For::accounts, .body_max = 1024});
  }
}

// An administrator may ask for all tenants.
void InsightsApi::list(InsightList which, const Request& r, const Responder& done) const {
  using admin::Parameter;
  admin::Parameters known{
      {"tenant", {}}, {"site", {}}, {"limit", {Parameter::Kind::number, kInsightsMax}}};
  if (which == InsightList::traffic) known["by"] = {};
  if (which == InsightList::ends) known["client"] = {};
  if (const std::string fault = admin::fault_of(r, known); !fault.empty())
    return done.answer(admin::problem(admin::codes::kInvalid, fault));
  pb::InsightsQuestion q;
  q.set_list(static_cast<std::uint32_t>(which));
  q.set_limit(static_cast<std::uint32_t>(kInsightsMax));
  const std::string tenant = r.parameter("tenant");
  const std::string site = r.parameter("site");
  q.set_tenant(tenant.empty() ? r.caller.tenant : tenant);
  if (!site.empty() && q.tenant().empty())
    return done.answer(admin::problem(admin::codes::kInvalid, "site: of which tenant"));
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, q.tenant(), site))
    return done.answer(*no);
  q.set_client(r.parameter("client"));
  if (!site.empty()) q.add_sites(site);
  if (site.empty())
    for (const std::string& s : r.caller.sites) q.add_sites(s);
  if (const std::string by = r.parameter("by"); !by.empty()) {
    const auto* const found = std::find(kBy.begin(), kBy.end(), by);
    if (found == kBy.end())
      return done.answer(admin::problem(admin::codes::kInvalid, "by: device, site or tenant"));
    q.set_by(static_cast<std::uint32_t>(found - kBy.begin()));
  }
  const Asking asking{done, which, admin::number(r, "limit", kInsightsDefault)};
  asker_.ask_all({AskKind::insights, kInsightsWithin_ms, q.SerializeAsString()},
                 [asking](const std::vector<link::Answer>& answers) { asking.answer(answers); });
}

}  // namespace berth::gateway::rest
