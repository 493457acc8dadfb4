#include "gateway/admin/problem.h"

#include <boost/json.hpp>

#include "gateway/admin/guard.h"

namespace berth::gateway::admin {

namespace json = boost::json;

namespace {

constexpr const char* kProblem = "application/problem+json";

// The first that has this status is what plain text with it means.
const ErrorCode& code_of(int status) {
  if (status == 403) return codes::kForbidden;
  for (const ErrorCode& c : kErrorCodes) {
    if (c.status == status) return c;
  }
  return status >= 500 ? codes::kInternal : codes::kInvalid;
}

json::object members(const ErrorCode& code, int status, std::string_view detail) {
  return {{"type", std::string("urn:berth:error:") + code.code},
          {"title", code.title},
          {"status", status},
          {"code", code.code},
          {"detail", detail}};
}

}  // namespace

Response problem(const ErrorCode& code, std::string_view detail, const json::object& more) {
  json::object o = members(code, code.status, detail);
  for (const auto& member : more) o[member.key()] = member.value();
  return {code.status, kProblem, json::serialize(o) + "\n", {}};
}

Response with_problem(const std::string& path, const Trace& trace, Response r) {
  if (r.status < 400) return r;
  if (r.content_type.starts_with("text/plain")) {
    if (Guard::is_probe(path) && r.status == 503) return r;
    while (r.body.ends_with('\n')) r.body.pop_back();
    r.body = json::serialize(members(code_of(r.status), r.status, r.body)) + "\n";
    r.content_type = kProblem;
  }
  if (r.content_type != kProblem || !r.body.ends_with("}\n")) return r;
  r.body.resize(r.body.size() - 2);
  r.body += ",\"trace_id\":\"" + trace.trace_id + "\"}\n";
  return r;
}

std::optional<Response> refusal_of(const Caller& caller, Right right, std::string_view tenant,
                                   std::string_view site) {
  const bool sees = caller.kind != Caller::Kind::nobody && caller.sees_tenant(tenant) &&
                    (site.empty() || caller.sees_site(site));
  if (!sees) return problem(codes::kNotFound, "no such record");
  const bool of_one_site = site.empty() && !caller.sites.empty();
  if (right != Right::read && of_one_site)
    return problem(codes::kForbidden, "'" + caller.id + "' is confined to some sites");
  if (caller.may(right)) return std::nullopt;
  const char* names[] = {"read", "change", "command"};
  return problem(codes::kForbidden,
                 "'" + caller.id + "' has not the right '" + names[static_cast<int>(right)] + "'");
}

}  // namespace berth::gateway::admin
