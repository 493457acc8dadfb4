// What `berth ctl config` asks a process: GET /api/v1/config, GET /api/v1/config/diff and POST
// /api/v1/config/reload, for the admin token only. Before listen(); `reload` outlives the server.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/node/reload.h"

namespace berth::gateway {

// Whether another process of this gateway has what this one has: the word for the answer's member
// `engine`, and empty where there is no other. `hash`: kConfigHash of this process. On the admin
// server's thread.
using EngineHas = std::function<boost::asio::awaitable<std::string>(std::uint64_t hash)>;

void serve_config(admin::HttpServer& http, Reload& reload, EngineHas engine_has = {});

}  // namespace berth::gateway
