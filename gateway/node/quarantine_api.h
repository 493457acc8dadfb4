// The quarantine for operators: GET /api/v1/quarantine, DELETE /api/v1/quarantine/ID. Main thread.
#pragma once

#include "gateway/admin/http_server.h"
#include "gateway/node/edge_shards.h"

namespace berth::gateway {

void serve_quarantine(admin::HttpServer& http, EdgeShards& edges);

}  // namespace berth::gateway
