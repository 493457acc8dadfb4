#include "gateway/rest/partitions_api.h"

#include <boost/json.hpp>
#include <charconv>
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

constexpr std::int64_t kHoldMax_s = 86'400;
constexpr std::size_t kHoldDefault_s = 600;
constexpr const char* kNoCluster =
    "this gateway is no cluster: it has one engine, which a restart of the engine replaces";

}  // namespace

void PartitionsApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("GET /api/v1/partitions",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.body_max = 1024});
  http.route_waiting("POST /api/v1/partitions/{number}/move",
                     [this](const Request& r, const Responder& d) { move(r, d); },
                     {.body_max = 1024});
  for (const char* target : {"POST /api/v1/partitions/hold", "DELETE /api/v1/partitions/hold"})
    http.route_waiting(target, [this](const Request& r, const Responder& d) { hold(r, d); },
                       {.body_max = 1024});
}

namespace {

// What the engines have said, an item for each partition.
void answer_all(const std::vector<link::Answer>& answers, const Responder& done) {
  json::array items;
  for (std::size_t p = 0; p < answers.size(); ++p) {
    const AskError error = answers[p].error;
    if (error == AskError::unknown_kind)
      return done.answer(admin::problem(admin::codes::kNotFound, kNoCluster));
    json::object o{{"partition", p}, {"served", error == AskError::none}};
    for (auto& [name, value] : object_in(answers[p].bytes)) o[name] = std::move(value);
    if (error != AskError::none) o["why"] = protocol::link::name_of(error);
    items.push_back(std::move(o));
  }
  done.answer(as_json({{"items", std::move(items)}}));
}

}  // namespace

void PartitionsApi::list(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  asker_.ask_all({AskKind::partition, kWithin_ms, R"({"do":"show"})"},
                 [done](const std::vector<link::Answer>& answers) { answer_all(answers, done); });
}

// In the memory of the engines that serve: one that begins to serve later has not heard of it.
void PartitionsApi::hold(const Request& r, const Responder& done) const {
  using admin::Parameter;
  const std::string fault = admin::fault_of(r, {{"for_s", {Parameter::Kind::number, kHoldMax_s}}});
  if (!fault.empty()) return done.answer(invalid(fault));
  const bool ends = r.method == "DELETE";
  if (ends && !r.parameter("for_s").empty())
    return done.answer(invalid("for_s: not of DELETE, which ends it"));
  const auto for_s =
      ends ? std::int64_t{0} : static_cast<std::int64_t>(admin::number(r, "for_s", kHoldDefault_s));
  BERTH_LOG(info, "hold of partitions asked for seconds={} by={}", for_s, r.caller.id);
  const json::object q{{"do", "hold"}, {"for_s", for_s}};
  asker_.ask_all({AskKind::partition, kWithin_ms, json::serialize(q)},
                 [done](const std::vector<link::Answer>& answers) { answer_all(answers, done); });
}

void PartitionsApi::move(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {{"process", {}}}); !fault.empty())
    return done.answer(invalid(fault));
  const std::string text = r.capture("number");
  std::uint32_t p = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), p);
  if (ec != std::errc() || end != text.data() + text.size() || p >= partitions_)
    return done.answer(admin::problem(admin::codes::kNotFound, "there is no such partition"));
  json::object q{{"do", "move"}};
  if (const std::string seen = r.parameter("process"); !seen.empty()) q["process"] = seen;
  BERTH_LOG(info, "move of a partition asked for partition={} by={}", p, r.caller.id);
  asker_.ask_partition(
      p, {AskKind::partition, kWithin_ms, json::serialize(q)}, [done](const link::Answer& a) {
        if (a.error == AskError::unknown_kind)
          return done.answer(admin::problem(admin::codes::kNotFound, kNoCluster));
        if (a.error != AskError::none) return done.answer(unanswered(a.error));
        json::object o = object_in(a.bytes);
        if (const json::value* const why = o.if_contains("refused");
            why != nullptr && why->is_string())
          return done.answer(
              admin::problem(admin::codes::kConflict, std::string(why->get_string())));
        admin::Response answer = as_json(o);
        answer.status = 202;
        done.answer(std::move(answer));
      });
}

}  // namespace berth::gateway::rest
