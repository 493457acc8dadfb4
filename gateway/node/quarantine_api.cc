#include "gateway/node/quarantine_api.h"

#include <boost/json.hpp>
#include <string>

#include "base/clock.h"
#include "gateway/node/process.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr std::string_view kPrefix = "/api/v1/quarantine";

const char* name_of(edge::Quarantine::Kind kind) {
  switch (kind) {
    case edge::Quarantine::Kind::principal:
      return "principal";
    case edge::Quarantine::Kind::anonymous:
      return "anonymous";
    case edge::Quarantine::Kind::before_login:
      return "before_login";
  }
  return "";
}

admin::Response list(edge::Quarantine& q, std::int64_t now_s) {
  json::array all;
  for (const auto& e : q.entries(now_s)) {
    all.push_back({{"id", link::text_of(e.id)},
                   {"kind", name_of(e.kind)},
                   {"who", e.name},
                   {"peer", e.peer},
                   {"deaths", e.deaths},
                   {"seconds_left", e.until_s > now_s ? e.until_s - now_s : 0},
                   {"tenant_slowed", e.tenant != 0 && q.slows(e.tenant, now_s)},
                   {"input", e.file}});
  }
  return json_response({{"quarantine", all}});
}

admin::Response answer(EdgeShards& edges, const admin::Request& r) {
  const std::int64_t now_s = base::monotonic_ns() / 1'000'000'000;
  const std::string_view rest = std::string_view(r.path).substr(kPrefix.size());
  if (rest.empty() && r.method == "GET") return list(edges.quarantine(), now_s);
  if (rest.size() > 1 && r.method == "DELETE") {
    return edges.lift(rest.substr(1)) ? text_response(200, "lifted\n")
                                      : text_response(404, "no such entry\n");
  }
  return text_response(405, "GET, or DELETE with an id\n");
}

boost::asio::awaitable<admin::Response> answered(admin::Response r) {
  co_return r;
}

}  // namespace

void serve_quarantine(admin::HttpServer& http, EdgeShards& edges) {
  http.route_under_at_home(std::string(kPrefix),
                           [&edges](admin::Request r) { return answered(answer(edges, r)); });
}

}  // namespace berth::gateway
