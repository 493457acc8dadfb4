#include "gateway/cluster/handed_over.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "base/log.h"
#include "gateway/admin/http_server.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/process.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;

namespace {

using Answer = admin::HttpServer::Answer;

Answer good() {
  co_return health_response(true);
}
Answer not_ready() {
  co_return ready_response({"handed over: another process has the connections"});
}
Answer status() {
  const boost::json::object out{
      {"version", kVersion}, {"shape", "edge"},     {"pid", static_cast<std::int64_t>(getpid())},
      {"ready", false},      {"handed_over", true}, {"draining", true},
      {"drained", true},     {"connections", 0},    {"unauthenticated", 0}};
  co_return json_response(out);
}
Answer drained() {
  co_return text_response(202, "nothing is left to drain: another process has the connections\n");
}

}  // namespace

void wait_handed_over(EndAsked& end, const Config& config, int admin_socket) {
  asio::io_context home{1};  // these pages ask for nothing at home
  admin::HttpServer http(home);
  http.route("GET /livez", [] { return good(); });
  http.route("GET /startupz", [] { return good(); });
  http.route("GET /readyz", [] { return not_ready(); });
  http.route("GET /api/v1/status", [] { return status(); });
  http.route("POST /api/v1/drain", [] { return drained(); });
  if (admin_socket >= 0)
    http.adopt_socket(admin_socket, {.listen_host = config.admin.host,
                                     .allowed_hosts = {},
                                     .token = [] { return std::string(); }});
  BERTH_LOG(info, "handed over, waiting to be ended");
  end.wait();
}

}  // namespace berth::gateway::cluster
