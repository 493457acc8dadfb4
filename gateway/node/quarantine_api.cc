#include "gateway/node/quarantine_api.h"

#include <boost/json.hpp>
#include <string>

#include "base/clock.h"
#include "gateway/node/process.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

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

admin::Response lift(EdgeShards& edges, const std::string& id) {
  return edges.lift(id) ? text_response(200, "lifted\n") : text_response(404, "no such entry\n");
}

boost::asio::awaitable<admin::Response> answered(admin::Response r) {
  co_return r;
}

}  // namespace

void serve_quarantine(admin::HttpServer& http, EdgeShards& edges) {
  http.route_at_home("GET /api/v1/quarantine", [&edges](const admin::Request&) {
    return answered(list(edges.quarantine(), base::monotonic_ns() / 1'000'000'000));
  });
  http.route_at_home("DELETE /api/v1/quarantine/{id}", [&edges](const admin::Request& r) {
    return answered(lift(edges, r.capture("id")));
  });
}

}  // namespace berth::gateway
