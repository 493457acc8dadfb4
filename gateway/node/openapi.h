// docs/openapi.yaml, which the binary contains, for those who ask a running gateway: GET
// /api/v1/openapi.json, for accounts too, and GET /api/v1/routes, what this process answers. Any
// thread.
#pragma once

#include <string>

#include "gateway/admin/http_server.h"

namespace berth::gateway {

// The last of all routes, before listen().
void serve_openapi(admin::HttpServer& http);
// YAML as JSON: what stands in quotes is a string, else null, true, false and numbers are such.
// Throws std::exception.
std::string json_of_yaml(const std::string& yaml);
const std::string& openapi_yaml();

}  // namespace berth::gateway
