#include "gateway/rest/traces_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/random_id.h"
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

constexpr std::int64_t kTraceMax_s = 3600;
constexpr std::int64_t kTraceDefault_s = 300;
constexpr std::size_t kTraceTextMax = 1024;

std::int64_t number_said(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && v->is_int64() ? v->get_int64() : 0;
}

// Some engine's error, if none has answered.
std::optional<admin::Response> no_answer(const std::vector<link::Answer>& answers) {
  AskError error = AskError::not_serving;
  for (const link::Answer& a : answers) {
    if (a.error == AskError::none) return std::nullopt;
    error = a.error;
  }
  return unanswered(error);
}

bool is_trace_id(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string new_trace_id() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  std::uint64_t n = base::random_id();
  for (int i = 0; i < 16; ++i, n >>= 4) id.push_back(kHex[n & 15]);
  return id;
}

// What a POST asks for.
struct WantedTrace {
  std::string id, client, tenant;
  std::int64_t for_s = kTraceDefault_s;
};

// Why it is refused; empty: it is good.
std::string read_trace(const std::string& body, WantedTrace& out) {
  boost::system::error_code ec;
  const json::value v = json::parse(body, ec);
  if (ec || !v.is_object()) return "the body is no JSON object";
  for (const auto& [name, value] : v.get_object()) {
    const std::string key = name;
    if (key == "for_s") {
      if (!value.is_int64() || value.get_int64() < 1 || value.get_int64() > kTraceMax_s)
        return "for_s: 1 to 3600";
      out.for_s = value.get_int64();
      continue;
    }
    std::string* const text = key == "client"   ? &out.client
                              : key == "tenant" ? &out.tenant
                              : key == "id"     ? &out.id
                                                : nullptr;
    if (text == nullptr) return key.substr(0, 64) + ": not a member";
    if (!value.is_string() || value.get_string().size() > kTraceTextMax) return key + ": a text";
    *text = std::string(value.get_string());
  }
  if (out.client.empty()) return "client: a client id, or the name of a device or account";
  if (!out.id.empty() && !is_trace_id(out.id)) return "id: 16 digits of lower-case hex";
  return {};
}

// "0,17,3": for each partition the number of the last line.
std::optional<std::vector<std::uint64_t>> places_in(const std::string& text, std::size_t count) {
  std::vector<std::uint64_t> places(count, 0);
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; at != end; ++i) {
    if (i == count) return std::nullopt;
    const auto [p, ec] = std::from_chars(at, end, places[i]);
    if (ec != std::errc() || (p != end && *p != ',')) return std::nullopt;
    at = p == end ? p : p + 1;
  }
  return places;
}

struct TraceLine {
  std::int64_t at_ms = 0;
  std::string text;
};

void tell_lines(const std::vector<link::Answer>& answers, std::vector<std::uint64_t> places,
                const Responder& done) {
  if (const auto no = no_answer(answers)) return done.answer(*no);
  std::vector<TraceLine> lines;
  std::int64_t missed = 0;
  std::int64_t ends_in_ms = 0;
  std::size_t unknown = 0;
  for (std::size_t p = 0; p < answers.size(); ++p) {
    const json::object said = object_in(answers[p].bytes);
    const json::value* const list = said.if_contains("lines");
    if (list == nullptr || !list->is_array()) {
      ++unknown;
      places[p] = 0;  // where the engine that comes begins to count
      continue;
    }
    missed += number_said(said, "missed");
    ends_in_ms = std::max(ends_in_ms, number_said(said, "ends_in_ms"));
    for (const json::value& v : list->get_array()) {
      if (!v.is_object()) continue;
      const json::object& l = v.get_object();
      const json::value* const text = l.if_contains("text");
      if (text == nullptr || !text->is_string()) continue;
      lines.push_back({number_said(l, "at_ms"), std::string(text->get_string())});
      places[p] = static_cast<std::uint64_t>(number_said(l, "number"));
    }
  }
  if (unknown == answers.size())
    return done.answer(
        admin::problem(admin::codes::kNotFound, "there is no such trace (any more)"));
  std::stable_sort(lines.begin(), lines.end(),
                   [](const TraceLine& a, const TraceLine& b) { return a.at_ms < b.at_ms; });
  json::array out;
  for (const TraceLine& l : lines) out.push_back({{"at", text_of_time(l.at_ms)}, {"text", l.text}});
  std::string next;
  for (const std::uint64_t n : places) next += (next.empty() ? "" : ",") + std::to_string(n);
  done.answer(as_json({{"lines", std::move(out)},
                       {"next", next},
                       {"missed", missed},
                       {"lost", unknown != 0},
                       {"ends_in_s", ends_in_ms / 1000}}));
}

}  // namespace

void TracesApi::add_to(admin::HttpServer& http) const {
  http.route_waiting("POST /api/v1/traces",
                     [this](const Request& r, const Responder& d) { begin(r, d); },
                     {.body_max = 4096});
  http.route_waiting("GET /api/v1/traces/{id}",
                     [this](const Request& r, const Responder& d) { read(r, d); },
                     {.body_max = 1024});
  http.route_waiting("DELETE /api/v1/traces/{id}",
                     [this](const Request& r, const Responder& d) { end(r, d); },
                     {.body_max = 1024});
}

void TracesApi::begin(const Request& r, const Responder& done) const {
  if (!admin::has_media_type(r, "application/json"))
    return done.answer(
        admin::problem(admin::codes::kUnsupportedMediaType, "Content-Type: application/json"));
  WantedTrace w;
  std::string fault = admin::fault_of(r, {});
  if (fault.empty()) fault = read_trace(r.body, w);
  if (!fault.empty()) return done.answer(invalid(fault));
  if (w.id.empty()) w.id = new_trace_id();
  const json::object q{{"do", "begin"},
                       {"trace", w.id},
                       {"client", w.client},
                       {"tenant", w.tenant},
                       {"for_ms", w.for_s * 1000}};
  BERTH_LOG(info, "packet trace asked for client={} tenant={} seconds={} by={}", w.client, w.tenant,
            w.for_s, r.caller.id);
  asker_.ask_all({AskKind::trace, kWithin_ms, json::serialize(q)},
                 [w, done](const std::vector<link::Answer>& answers) {
                   if (const auto no = no_answer(answers)) return done.answer(*no);
                   std::int64_t connections = 0;
                   for (const link::Answer& a : answers) {
                     const json::object said = object_in(a.bytes);
                     if (said.contains("refused"))
                       return done.answer(admin::problem(admin::codes::kTooManyRequests,
                                                         "as many traces as there may be (8) are "
                                                         "under way"));
                     connections += number_said(said, "connections");
                   }
                   admin::Response answer = as_json(
                       {{"id", w.id}, {"connections", connections}, {"ends_in_s", w.for_s}});
                   answer.status = 201;
                   done.answer(std::move(answer));
                 });
}

void TracesApi::read(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {{"after", {}}}); !fault.empty())
    return done.answer(invalid(fault));
  const auto places = places_in(r.parameter("after"), partitions_);
  if (!places)
    return done.answer(admin::problem(admin::codes::kInvalidCursor, "after: not of this trace"));
  struct Gathering {
    std::vector<link::Answer> answers;
    std::size_t missing;
  };
  const auto all = std::make_shared<Gathering>();
  all->answers.resize(partitions_);
  all->missing = partitions_;
  for (std::uint32_t p = 0; p < partitions_; ++p) {
    const json::object q{{"do", "read"}, {"trace", r.capture("id")}, {"after", (*places)[p]}};
    asker_.ask_partition(p, {AskKind::trace, kWithin_ms, json::serialize(q)},
                         [all, p, places = *places, done](link::Answer a) {
                           all->answers[p] = std::move(a);
                           if (--all->missing == 0) tell_lines(all->answers, places, done);
                         });
  }
}

void TracesApi::end(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  const json::object q{{"do", "end"}, {"trace", r.capture("id")}};
  asker_.ask_all({AskKind::trace, kWithin_ms, json::serialize(q)},
                 [done](const std::vector<link::Answer>& answers) {
                   if (const auto no = no_answer(answers)) return done.answer(*no);
                   admin::Response gone;
                   gone.status = 204;
                   done.answer(std::move(gone));
                 });
}

}  // namespace berth::gateway::rest
