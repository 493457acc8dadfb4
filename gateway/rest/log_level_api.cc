#include "gateway/rest/log_level_api.h"

#include <boost/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"

namespace berth::gateway::rest {

namespace json = boost::json;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::int64_t kLevelMax_s = 86'400;
constexpr std::int64_t kLevelDefault_s = 600;

std::int64_t uptime_ms() {
  return base::monotonic_ns() / base::kMs;
}

json::object levels() {
  json::array all;
  for (const base::ModuleLevel& m : base::module_levels(uptime_ms()))
    all.push_back({{"module", m.module}, {"level", m.level}, {"ends_in_s", m.left_ms / 1000}});
  return {{"level", base::log_level()}, {"modules", std::move(all)}};
}

std::string modules_text() {
  std::string text(base::kAllModules);
  for (const std::string_view m : base::kLogModules) text.append(", ").append(m);
  return text;
}

std::string fault_of_module(const std::string& module) {
  return base::is_log_module(module) ? std::string() : "module: one of " + modules_text();
}

struct WantedLevel {
  std::string module, level;
  std::int64_t for_s = kLevelDefault_s;
};

// Why it is refused; empty: it is good.
std::string read_level(const std::string& body, WantedLevel& out) {
  boost::system::error_code ec;
  const json::value v = json::parse(body, ec);
  if (ec || !v.is_object()) return "the body is no JSON object";
  for (const auto& [name, value] : v.get_object()) {
    const std::string key = name;
    if (key == "for_s") {
      if (!value.is_int64() || value.get_int64() < 1 || value.get_int64() > kLevelMax_s)
        return "for_s: 1 to 86400";
      out.for_s = value.get_int64();
    } else if ((key == "module" || key == "level") && value.is_string()) {
      (key == "module" ? out.module : out.level) = std::string(value.get_string());
    } else {
      return key.substr(0, 64) + ": not a member, or no text";
    }
  }
  if (const std::string fault = fault_of_module(out.module); !fault.empty()) return fault;
  return base::is_log_level(out.level) ? "" : "level: trace, debug, info, warn or error";
}

}  // namespace

void LogLevelApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("GET /api/v1/log-level",
                     [this](const Request& r, const Responder& done) {
                       const std::string fault = admin::fault_of(r, {});
                       json::object o = levels();
                       if (!not_asked_.empty()) o["not_asked"] = not_asked_;
                       done.answer(fault.empty() ? as_json(o) : invalid(fault));
                     },
                     {.body_max = 1024});
  http.route_waiting("PUT /api/v1/log-level",
                     [this](const Request& r, const Responder& d) { set(r, d); },
                     {.body_max = 1024});
  http.route_waiting("DELETE /api/v1/log-level",
                     [this](const Request& r, const Responder& d) { end(r, d); },
                     {.body_max = 1024});
}

void LogLevelApi::set(const Request& r, const Responder& done) const {
  if (!admin::has_media_type(r, "application/json"))
    return done.answer(
        admin::problem(admin::codes::kUnsupportedMediaType, "Content-Type: application/json"));
  WantedLevel w;
  std::string fault = admin::fault_of(r, {});
  if (fault.empty()) fault = read_level(r.body, w);
  if (!fault.empty()) return done.answer(invalid(fault));
  BERTH_LOG(info, "log level asked for module={} level={} seconds={} by={}", w.module, w.level,
            w.for_s, r.caller.id);
  apply(w.module, w.level, w.for_s, done);
}

void LogLevelApi::end(const Request& r, const Responder& done) const {
  std::string fault = admin::fault_of(r, {{"module", {}}});
  const std::string module = r.parameter("module");
  if (fault.empty()) fault = fault_of_module(module);
  if (!fault.empty()) return done.answer(invalid(fault));
  BERTH_LOG(info, "log level ended module={} by={}", module, r.caller.id);
  apply(module, base::log_level(), 0, done);
}

// Engines that do not answer stay as they are; how many there are is said.
void LogLevelApi::apply(const std::string& module, const std::string& level, std::int64_t for_s,
                        const Responder& done) const {
  base::set_module_level({module, level, for_s * 1000}, uptime_ms());
  const json::object q{{"module", module}, {"level", level}, {"for_ms", for_s * 1000}};
  asker_.ask_all({AskKind::log_level, kWithin_ms, json::serialize(q)},
                 [done, this](const std::vector<link::Answer>& answers) {
                   std::int64_t unanswered = 0;
                   for (const link::Answer& a : answers) unanswered += a.error != AskError::none;
                   json::object o = levels();
                   o["partitions_without_answer"] = unanswered;
                   if (!not_asked_.empty()) o["not_asked"] = not_asked_;
                   done.answer(as_json(o));
                 });
}

}  // namespace berth::gateway::rest
