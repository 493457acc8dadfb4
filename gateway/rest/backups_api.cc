#include "gateway/rest/backups_api.h"

#include <boost/json.hpp>
#include <string>
#include <utility>

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

constexpr const char* kInRedis =
    "the sessions are in Redis: save them as Redis does, and the registry with an export";

}  // namespace

void BackupsApi::add_to(admin::HttpServer& http) const {
  http.route_waiting(
      "GET /api/v1/backups",
      [this](const Request& r, const Responder& d) { ask(r, R"({"do":"show"})", 200, d); },
      {.body_max = 1024});
  http.route_waiting("POST /api/v1/backups",
                     [this](const Request& r, const Responder& d) {
                       BERTH_LOG(info, "backup asked for by={}", r.caller.id);
                       ask(r, R"({"do":"begin"})", 202, d);
                     },
                     {.body_max = 1024});
}

void BackupsApi::ask(const Request& r, const char* what, int status, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  asker_.ask_partition(
      0, {AskKind::backup, kWithin_ms, what}, [done, status](const link::Answer& a) {
        if (a.error == AskError::unknown_kind)
          return done.answer(admin::problem(admin::codes::kNotFound, kInRedis));
        if (a.error != AskError::none) return done.answer(unanswered(a.error));
        json::object o = object_in(a.bytes);
        if (const json::value* const why = o.if_contains("refused");
            why != nullptr && why->is_string())
          return done.answer(
              admin::problem(admin::codes::kConflict, std::string(why->get_string())));
        admin::Response answer = as_json(o);
        answer.status = status;
        done.answer(std::move(answer));
      });
}

}  // namespace berth::gateway::rest
