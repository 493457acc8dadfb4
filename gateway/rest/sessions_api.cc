#include "gateway/rest/sessions_api.h"

#include <boost/json.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/admin/parameters.h"
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

struct SessionId {
  std::uint32_t partition = 0;
  std::uint64_t number = 0;
};

// "0-4711"; also what a list goes on behind.
std::optional<SessionId> session_id(const std::string& text, std::uint32_t partitions) {
  SessionId id;
  const std::size_t dash = text.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [p, e1] = std::from_chars(begin, begin + dash, id.partition);
  const auto [n, e2] = std::from_chars(begin + dash + 1, end, id.number);
  const bool good = e1 == std::errc() && e2 == std::errc() && p == begin + dash && n == end;
  return good && id.partition < partitions ? std::optional(id) : std::nullopt;
}

// As operators get it: with its id first, and times for people.
json::object with_id(json::object s, std::size_t partition) {
  json::object o;
  std::string id = std::to_string(partition) + "-";
  for (auto& [name, value] : s) {
    if (name == "number") o["id"] = id + json::serialize(value);
  }
  for (auto& [name, value] : s) {
    if (name == "number") continue;
    if (name == "expires_at_ms" && value.is_int64()) {
      o["expires_at"] = text_of_time(value.get_int64());
    } else {
      o[name] = std::move(value);
    }
  }
  return o;
}

bool is_true(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && v->is_bool() && v->get_bool();
}

void answer(const std::vector<link::Answer>& answers, std::size_t limit, const Responder& done) {
  json::array items;
  std::string next;
  bool incomplete = false;
  for (std::size_t p = 0; p < answers.size(); ++p) {
    if (answers[p].error != AskError::none) return done.answer(unanswered(answers[p].error));
    json::object said = object_in(answers[p].bytes);
    incomplete = incomplete || is_true(said, "incomplete");
    json::value* const list = said.if_contains("items");
    if (list == nullptr || !list->is_array()) continue;
    for (json::value& item : list->get_array()) {
      if (items.size() == limit && next.empty() && !items.empty())
        next = std::string(items.back().at("id").get_string());
      if (items.size() == limit || !item.is_object()) continue;
      items.push_back(with_id(std::move(item.get_object()), p));
    }
    if (is_true(said, "more") && next.empty() && !items.empty())
      next = std::string(items.back().at("id").get_string());
    if (!next.empty()) break;
  }
  json::object o{{"items", std::move(items)}};
  if (!next.empty()) o["next"] = next;
  if (incomplete) o["incomplete"] = true;
  done.answer(as_json(o));
}

}  // namespace

void SessionsApi::add_to(admin::HttpServer& http) const {
  const auto one = [&](const char* route, const char* what) {
    http.route_waiting(route,
                       [this, what](const Request& r, const Responder& d) { ask_one(what, r, d); },
                       {.body_max = 1024});
  };
  http.route_waiting("GET /api/v1/sessions",
                     [this](const Request& r, const Responder& d) { list(r, d); },
                     {.body_max = 1024});
  one("GET /api/v1/sessions/{id}", "show");
  one("POST /api/v1/sessions/{id}/disconnect", "disconnect");
  one("DELETE /api/v1/sessions/{id}", "remove");
}

void SessionsApi::list(const Request& r, const Responder& done) const {
  using admin::Parameter;
  static const admin::Parameters kKnown{
      {"tenant", {}},    {"q", {}},
      {"client_id", {}}, {"online", {Parameter::Kind::flag, 0}},
      {"cursor", {}},    {"limit", {Parameter::Kind::number, kListMax}}};
  if (const std::string fault = admin::fault_of(r, kKnown); !fault.empty())
    return done.answer(invalid(fault));
  SessionId after;
  const std::string cursor = r.parameter("cursor");
  if (!cursor.empty()) {
    const auto place = session_id(cursor, partitions_);
    if (!place)
      return done.answer(admin::problem(admin::codes::kInvalidCursor, "cursor: not of this list"));
    after = *place;
  }
  const std::size_t limit = admin::number(r, "limit", kListDefault);
  json::object q{{"do", "list"}, {"limit", limit}};
  for (const char* name : {"tenant", "q", "client_id"}) {
    if (const std::string value = r.parameter(name); !value.empty()) q[name] = value;
  }
  if (!r.parameter("online").empty()) q["online"] = admin::flag(r, "online");
  // Partition by partition, each by the number of the session: the order stays while sessions come.
  struct Gathering {
    std::vector<link::Answer> answers;
    std::size_t missing;
  };
  const auto all = std::make_shared<Gathering>();
  all->answers.resize(partitions_);
  for (std::uint32_t p = 0; p < after.partition; ++p) all->answers[p] = {AskError::none, "{}"};
  all->missing = partitions_ - after.partition;
  for (std::uint32_t p = after.partition; p < partitions_; ++p) {
    q["after"] = p == after.partition ? after.number : 0;
    asker_.ask_partition(p, {AskKind::sessions, kWithin_ms, json::serialize(q)},
                         [all, p, limit, done](link::Answer a) {
                           all->answers[p] = std::move(a);
                           if (--all->missing == 0) answer(all->answers, limit, done);
                         });
  }
}

void SessionsApi::ask_one(const char* what, const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  const auto id = session_id(r.capture("id"), partitions_);
  const auto none = [done] {
    done.answer(admin::problem(admin::codes::kNotFound, "there is no such session (any more)"));
  };
  if (!id) return none();
  const json::object q{{"do", what}, {"id", id->number}};
  asker_.ask_partition(id->partition, {AskKind::sessions, kWithin_ms, json::serialize(q)},
                       [none, done, partition = id->partition](const link::Answer& a) {
                         if (a.error != AskError::none) return done.answer(unanswered(a.error));
                         json::object said = object_in(a.bytes);
                         json::value* const s = said.if_contains("session");
                         if (s == nullptr || !s->is_object()) return none();
                         done.answer(as_json(with_id(std::move(s->get_object()), partition)));
                       });
}

}  // namespace berth::gateway::rest
