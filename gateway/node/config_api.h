// What `berth ctl config` asks a process: GET /api/v1/config, GET /api/v1/config/diff and POST
// /api/v1/config/reload, for the admin token only. In a cluster also of the engines that serve,
// which are asked over the links: AskKind::config,
//
//   {"do": "show" | "diff" | "reload"} -> what the engine's own route would say, with "host", "pid"
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/node/reload.h"

namespace berth::gateway {

// Whether another process of this gateway has what this one has: the word for the answer's member
// `engine`, and empty where there is no other. `hash`: kConfigHash of this process. On the admin
// server's thread.
using EngineHas = std::function<boost::asio::awaitable<std::string>(std::uint64_t hash)>;

// The others of a cluster that a process can ask; none: it is the whole gateway.
struct OtherEngines {
  const link::Asker* asker = nullptr;  // on the home loop, outlives the server
  std::string not_asked = {};          // who could not be asked: the answer names them
};
// Before listen(); `reload` outlives the server.
void serve_config(admin::HttpServer& http, Reload& reload, EngineHas engine_has = {},
                  OtherEngines others = {});
// What an engine of a cluster answers. On the loop of `reload`, which outlives who asks.
void answer_about_config(Reload& reload, const protocol::link::Question& q,
                         const link::Answered& answered);

}  // namespace berth::gateway
