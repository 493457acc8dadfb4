#include "gateway/node/passages_api.h"

#include <boost/json.hpp>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/node/process.h"
#include "gateway/rest/times.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

const char* name_of(edge::EngineEnd how) {
  switch (how) {
    case edge::EngineEnd::planned:
      return "planned";
    case edge::EngineEnd::proven:
      return "poison";
    case edge::EngineEnd::unproven:
      return "killed";
    case edge::EngineEnd::fault:
      return "fault";
  }
  return "";
}

admin::Response passages(const admin::Request& r, const edge::Passages& all) {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return admin::problem(admin::codes::kInvalid, fault);
  json::array items;
  for (const auto& p : all.list()) {
    items.push_back({{"at", rest::text_of_time(p.at_ms)},
                     {"partition", p.partition},
                     {"end", name_of(p.how)},
                     {"gap_ms", p.gap_ms},
                     {"held", p.held},
                     {"dropped", p.dropped}});
  }
  return json_response({{"items", std::move(items)}});
}

boost::asio::awaitable<admin::Response> said(admin::Response r) {
  co_return r;
}

}  // namespace

void serve_passages(admin::HttpServer& http, EdgeShards& edges) {
  http.route("GET /api/v1/passages",
             [&edges](const admin::Request& r) { return said(passages(r, edges.passages())); });
}

}  // namespace berth::gateway
