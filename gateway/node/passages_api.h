// GET /api/v1/passages: engines that came and went, as the connections of this process have met
// them.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/node/edge_shards.h"

namespace berth::gateway {

void serve_passages(admin::HttpServer& http, EdgeShards& edges);

}  // namespace berth::gateway
