#include "gateway/rest/uplinks_api.h"

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"

namespace berth::gateway::rest {

namespace json = boost::json;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr const char* kNoUplink = "there is no uplink of this name";
constexpr const char* kNotDefined = "there is no uplink of this name that was made over REST";

bool has_true(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && *v == json::value(true);
}
bool forgotten(const link::Answer& a) {
  return has_true(object_in(a.bytes), "forgotten");
}

// What partitions have done.
struct Sum {
  std::int64_t messages = 0;
  std::int64_t unanswered = 0;
  std::size_t refused = 0;
  std::size_t unknown = 0;
  std::string why;
  AskError error = AskError::none;
};
Sum sum_of(const std::vector<link::Answer>& answers) {
  Sum s;
  for (const link::Answer& a : answers) {
    if (a.error != AskError::none) {
      ++s.unanswered;
      s.error = a.error;
      continue;
    }
    const json::object o = object_in(a.bytes);
    if (const json::value* const why = o.if_contains("refused"); why && why->is_string()) {
      ++s.refused;
      s.unknown += has_true(o, "unknown") ? 1 : 0;
      s.why = why->get_string();
    }
    if (const json::value* const n = o.if_contains("messages"); n && n->is_int64())
      s.messages += n->get_int64();
  }
  return s;
}

// Nothing was done anywhere: why.
std::optional<admin::Response> nothing_done(const Sum& s, std::size_t partitions) {
  if (static_cast<std::size_t>(s.unanswered) == partitions) return unanswered(s.error);
  if (s.refused + static_cast<std::size_t>(s.unanswered) < partitions) return std::nullopt;
  return s.unknown == s.refused ? admin::problem(admin::codes::kNotFound, kNoUplink)
                                : admin::problem(admin::codes::kConflict, s.why);
}

admin::Response done_of(const Sum& s) {
  return as_json({{"messages", s.messages}, {"partitions_without_answer", s.unanswered}});
}

}  // namespace

void UplinksApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("GET /api/v1/uplinks",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.body_max = 1024});
  http.route_waiting("PUT /api/v1/uplinks/{name}",
                     [this](const Request& r, const Responder& d) { define(r, d); },
                     {.body_max = 16 * 1024});
  http.route_waiting("GET /api/v1/uplinks/{name}",
                     [this](const Request& r, const Responder& d) { definition(r, d); },
                     {.body_max = 1024});
  http.route_waiting("DELETE /api/v1/uplinks/{name}",
                     [this](const Request& r, const Responder& d) { forget(r, d); },
                     {.body_max = 1024});
  http.route_waiting("POST /api/v1/uplinks/{name}/replay",
                     [this](const Request& r, const Responder& d) { replay(r, d); },
                     {.body_max = 1024});
  http.route_waiting(
      "DELETE /api/v1/uplinks/{name}/replay",
      [this](const Request& r, const Responder& d) { act("stop_replay", "end of a replay", r, d); },
      {.body_max = 1024});
  http.route_waiting("GET /api/v1/uplinks/{name}/dead-letters",
                     [this](const Request& r, const Responder& d) { dead_letters(r, d); },
                     {.body_max = 1024});
  http.route_waiting("POST /api/v1/uplinks/{name}/dead-letters/send",
                     [this](const Request& r, const Responder& d) {
                       act("send_again", "sending of dead letters", r, d);
                     },
                     {.body_max = 1024});
  http.route_waiting("DELETE /api/v1/uplinks/{name}/dead-letters",
                     [this](const Request& r, const Responder& d) {
                       act("discard", "removal of dead letters", r, d);
                     },
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

// Each partition keeps it. One that does not answer may have it or not: to be asked for again.
void UplinksApi::define(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  if (!admin::has_media_type(r, "application/json"))
    return done.answer(
        admin::problem(admin::codes::kUnsupportedMediaType, "application/json is expected"));
  boost::system::error_code ec;
  const json::value v = json::parse(r.body, ec);
  if (ec || !v.is_object()) return done.answer(invalid("the body is no JSON object"));
  const std::string name = r.capture("name");
  BERTH_LOG(info, "definition of an uplink asked for uplink={} by={}", base::LogName{name},
            r.caller.id);
  asker_.ask_all(
      {AskKind::uplinks, kWithin_ms,
       json::serialize(json::object{{"do", "define"}, {"name", name}, {"definition", v}})},
      [done](const std::vector<link::Answer>& answers) {
        bool created = false;
        for (const link::Answer& a : answers) {
          if (a.error != AskError::none) return done.answer(unanswered(a.error));
          const json::object o = object_in(a.bytes);
          if (const json::value* const why = o.if_contains("refused"); why && why->is_string()) {
            const std::string text(why->get_string());
            return done.answer(has_true(o, "invalid")
                                   ? invalid(text)
                                   : admin::problem(admin::codes::kConflict, text));
          }
          created = has_true(o, "created") || created;
        }
        admin::Response made = as_json({{"created", created}});
        made.status = created ? 201 : 200;
        made.changed = "definition";
        done.answer(std::move(made));
      });
}

void UplinksApi::definition(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  asker_.ask_all({AskKind::uplinks, kWithin_ms,
                  json::serialize(json::object{{"do", "definition"}, {"name", r.capture("name")}})},
                 [done](const std::vector<link::Answer>& answers) {
                   json::value found;
                   std::int64_t without = 0, other = 0, unheard = 0;
                   AskError error = AskError::none;
                   for (const link::Answer& a : answers) {
                     if (a.error != AskError::none) {
                       ++unheard;
                       error = a.error;
                       continue;
                     }
                     const json::object o = object_in(a.bytes);
                     const json::value* const one = o.if_contains("definition");
                     if (one == nullptr) {
                       ++without;
                     } else if (found.is_null()) {
                       found = *one;
                     } else {
                       other += found != *one;
                     }
                   }
                   if (found.is_null())
                     return done.answer(unheard != 0
                                            ? unanswered(error)
                                            : admin::problem(admin::codes::kNotFound, kNotDefined));
                   done.answer(as_json({{"definition", std::move(found)},
                                        {"partitions_that_differ", without + other},
                                        {"partitions_without_answer", unheard}}));
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
                     const json::object o = object_in(a.bytes);
                     if (const json::value* const why = o.if_contains("refused");
                         why && why->is_string() && !has_true(o, "unknown"))
                       return done.answer(
                           admin::problem(admin::codes::kConflict, std::string(why->get_string())));
                     any = forgotten(a) || any;
                   }
                   if (any) return done.answer(as_json({{"forgotten", true}}));
                   done.answer(admin::problem(
                       admin::codes::kNotFound,
                       "there is no queue of that name whose uplink was made over REST or is not "
                       "configured any more"));
                 });
}

// Each partition has its part of the messages.
void UplinksApi::replay(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {{"from", {}}, {"to", {}}}); !fault.empty())
    return done.answer(invalid(fault));
  std::int64_t from_ms = -1, to_ms = -1;
  for (const std::string& fault : {read_time(r, "from", from_ms), read_time(r, "to", to_ms)}) {
    if (!fault.empty()) return done.answer(invalid(fault));
  }
  if (from_ms < 0 || to_ms < 0 || from_ms > to_ms)
    return done.answer(invalid("from and to are needed, and from is not behind to"));
  const std::string name = r.capture("name");
  BERTH_LOG(info, "replay of an uplink asked for uplink={} from={} to={} by={}",
            base::LogName{name}, text_of_time(from_ms), text_of_time(to_ms), r.caller.id);
  asker_.ask_all({AskKind::uplinks, kWithin_ms,
                  json::serialize(json::object{
                      {"do", "replay"}, {"name", name}, {"from_ms", from_ms}, {"to_ms", to_ms}})},
                 [done](const std::vector<link::Answer>& answers) {
                   const Sum s = sum_of(answers);
                   if (auto nothing = nothing_done(s, answers.size()))
                     return done.answer(std::move(*nothing));
                   admin::Response begun = done_of(s);
                   begun.status = 202;
                   done.answer(std::move(begun));
                 });
}

void UplinksApi::act(const char* what, const char* said, const Request& r,
                     const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  const std::string name = r.capture("name");
  BERTH_LOG(info, "{} of an uplink asked for uplink={} by={}", said, base::LogName{name},
            r.caller.id);
  asker_.ask_all(
      {AskKind::uplinks, kWithin_ms, json::serialize(json::object{{"do", what}, {"name", name}})},
      [done](const std::vector<link::Answer>& answers) {
        const Sum s = sum_of(answers);
        if (auto nothing = nothing_done(s, answers.size())) return done.answer(std::move(*nothing));
        done.answer(done_of(s));
      });
}

// At most 500 of each partition.
void UplinksApi::dead_letters(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  asker_.ask_all(
      {AskKind::uplinks, kWithin_ms,
       json::serialize(json::object{{"do", "dead"}, {"name", r.capture("name")}})},
      [done](const std::vector<link::Answer>& answers) {
        const Sum s = sum_of(answers);
        if (auto nothing = nothing_done(s, answers.size())) return done.answer(std::move(*nothing));
        json::array items;
        for (std::size_t p = 0; p < answers.size(); ++p) {
          json::object o = object_in(answers[p].bytes);
          json::value* const list = o.if_contains("items");
          if (list == nullptr || !list->is_array()) continue;
          for (json::value& item : list->get_array()) {
            if (!item.is_object()) continue;
            json::object& letter = item.get_object();
            letter["partition"] = p;
            if (const auto* at = letter.if_contains("at_ms"); at != nullptr && at->is_int64())
              letter["at"] = text_of_time(at->get_int64());
            letter.erase("at_ms");
            items.push_back(std::move(item));
          }
        }
        done.answer(
            as_json({{"items", std::move(items)}, {"partitions_without_answer", s.unanswered}}));
      });
}

}  // namespace berth::gateway::rest
