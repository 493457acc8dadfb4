#include "gateway/rest/uplinks_api.h"

#include <boost/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/unanswered.h"

namespace berth::gateway::rest {

namespace json = boost::json;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

bool forgotten(const link::Answer& a) {
  const json::object o = object_in(a.bytes);
  const json::value* const v = o.if_contains("forgotten");
  return v != nullptr && *v == json::value(true);
}

}  // namespace

void UplinksApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("GET /api/v1/uplinks",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.body_max = 1024});
  http.route_waiting("DELETE /api/v1/uplinks/{name}",
                     [this](const Request& r, const Responder& d) { forget(r, d); },
                     {.body_max = 1024});
}

// One item for each uplink and partition.
void UplinksApi::list(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  asker_.ask_all({AskKind::uplinks, kWithin_ms, R"({"do":"show"})"}, [done](const std::vector<
                                                                            link::Answer>&
                                                                                answers) {
    json::array items;
    std::int64_t unanswered = 0;
    for (std::size_t p = 0; p < answers.size(); ++p) {
      unanswered += answers[p].error != AskError::none;
      json::object o = object_in(answers[p].bytes);
      json::value* const list = o.if_contains("items");
      if (list == nullptr || !list->is_array()) continue;
      for (json::value& item : list->get_array()) {
        if (!item.is_object()) continue;
        item.get_object()["partition"] = p;
        items.push_back(std::move(item));
      }
    }
    done.answer(as_json({{"items", std::move(items)}, {"partitions_without_answer", unanswered}}));
  });
}

// In all partitions. One that does not answer keeps its queue: it is listed again.
void UplinksApi::forget(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  const std::string name = r.capture("name");
  BERTH_LOG(info, "removal of an uplink's queue asked for uplink={} by={}", base::LogName{name},
            r.caller.id);
  asker_.ask_all({AskKind::uplinks, kWithin_ms,
                  json::serialize(json::object{{"do", "forget"}, {"name", name}})},
                 [done](const std::vector<link::Answer>& answers) {
                   bool any = false;
                   for (const link::Answer& a : answers) {
                     if (a.error != AskError::none) return done.answer(unanswered(a.error));
                     any = forgotten(a) || any;
                   }
                   if (any) return done.answer(as_json({{"forgotten", true}}));
                   done.answer(admin::problem(
                       admin::codes::kNotFound,
                       "there is no queue of that name whose uplink is not configured any more"));
                 });
}

}  // namespace berth::gateway::rest
