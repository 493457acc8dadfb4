#include "gateway/rest/desired_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/platform.pb.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

struct Page {
  Responder done;
  pb::DesiredQuestion q = {};
  SealPtr seal = nullptr;
};

json::object json_of(const std::string& tenant, const pb::DesiredAnswer::Device& d) {
  json::object o{{"tenant", tenant}, {"site", d.site()}, {"device", d.name()}};
  if (!d.display_name().empty()) o["display_name"] = d.display_name();
  if (!d.product().empty()) o["product"] = d.product();
  o["version"] = d.version();
  o["reported_version"] = d.reported_version();
  o["in_step"] = d.in_step();
  o["since"] = text_of_time(d.since_ms());
  json::array open;
  for (const std::string& part : d.open()) open.emplace_back(part);
  if (!open.empty()) o["open"] = std::move(open);
  return o;
}

// By name. Behind the place up to which a partition has looked, devices of the others would come
// before devices that this partition has not said yet.
void answer(const Page& page, const std::vector<link::Answer>& answers) {
  std::vector<pb::DesiredAnswer::Device> devices;
  std::string end;  // empty: all have said all
  for (const link::Answer& a : answers) {
    pb::DesiredAnswer said;
    if (a.error != AskError::none || !said.ParseFromString(a.bytes))
      return page.done.answer(unanswered(a.error));
    if (said.more() && (end.empty() || said.looked() < end)) end = said.looked();
    for (pb::DesiredAnswer::Device& d : *said.mutable_devices()) devices.push_back(std::move(d));
  }
  std::erase_if(devices, [&end](const auto& d) { return !end.empty() && d.name() > end; });
  std::sort(devices.begin(), devices.end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  if (devices.size() > page.q.limit()) {
    devices.resize(page.q.limit());
    end = devices.back().name();
  }
  json::array items;
  for (const auto& d : devices) items.push_back(json_of(page.q.tenant(), d));
  json::object o{{"items", std::move(items)}};
  if (!end.empty()) o["next"] = page.seal->close(lists::kDesired, page.q.tenant(), end);
  admin::Response r = as_json(o);
  r.cut = !end.empty() && devices.size() < page.q.limit();
  page.done.answer(std::move(r));
}

}  // namespace

void DesiredApi::add_to(admin::HttpServer& http) {
  http.route_waiting("GET /api/v1/desired",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.who = admin::For::accounts, .body_max = 1024});
}

void DesiredApi::list(const Request& r, const Responder& done) const {
  using admin::Parameter;
  static const admin::Parameters kKnown{{"tenant", {}},
                                        {"site", {}},
                                        {"product", {}},
                                        {"q", {}},
                                        {"in_step", {Parameter::Kind::flag, 0}},
                                        {"from", {}},
                                        {"to", {}},
                                        {"cursor", {}},
                                        {"limit", {Parameter::Kind::number, kListMax}}};
  if (auto no = refusal_of_list(r, kKnown)) return done.answer(*no);
  auto page = std::make_shared<Page>(Page{.done = done});
  pb::DesiredQuestion& q = page->q;
  q.set_tenant(tenant_of(r));
  add_sites(r, q);
  q.set_product(r.parameter("product"));
  q.set_q(r.parameter("q"));
  q.set_limit(static_cast<std::uint32_t>(admin::number(r, "limit", kListDefault)));
  if (!r.parameter("in_step").empty())
    q.set_step(admin::flag(r, "in_step") ? pb::DesiredQuestion::IN_STEP
                                         : pb::DesiredQuestion::NOT_IN_STEP);
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
  std::string fault = read_time(r, "from", from_ms);
  if (fault.empty()) fault = read_time(r, "to", to_ms);
  if (!fault.empty()) return done.answer(invalid(fault));
  q.set_from_ms(from_ms);
  q.set_to_ms(to_ms);
  cursors_.get([this, page, cursor = r.parameter("cursor")](SealPtr seal) {
    if (seal == nullptr) return page->done.answer(unanswered(AskError::not_serving));
    page->seal = std::move(seal);
    if (!cursor.empty()) {
      const auto after = page->seal->open(lists::kDesired, page->q.tenant(), cursor);
      if (!after) return page->done.answer(bad_cursor());
      page->q.set_after(*after);
    }
    asker_.ask_all({AskKind::list_desired, kWithin_ms, page->q.SerializeAsString()},
                   [page](const std::vector<link::Answer>& answers) { answer(*page, answers); });
  });
}

}  // namespace berth::gateway::rest
