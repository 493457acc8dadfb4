#include "gateway/admin/api_error.h"

#include <boost/json.hpp>

namespace berth::gateway::admin {
namespace {

// Those of the registry's API where it has one for the status.
const char* code_of(int status) {
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 409:
      return "conflict";
    case 413:
      return "too_large";
    case 503:
      return "unavailable";
    default:
      return status >= 500 ? "internal" : "invalid";
  }
}

}  // namespace

Response as_api_error(const std::string& path, Response r) {
  const bool plain = r.content_type.starts_with("text/plain");
  if (r.status < 400 || !plain || !path.starts_with("/api/")) return r;
  std::string message = std::move(r.body);
  while (message.ends_with('\n')) message.pop_back();
  const boost::json::object o{{"error", {{"code", code_of(r.status)}, {"message", message}}}};
  r.content_type = "application/json";
  r.body = boost::json::serialize(o) + "\n";
  return r;
}

}  // namespace berth::gateway::admin
