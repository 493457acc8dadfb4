// A product's profile on one message, rule by rule, without a device: POST /api/v1/profiles/try
// (docs/console.md, docs/messages.md). On the server's thread; nothing is kept.
#pragma once

#include <string>

#include "gateway/admin/http_server.h"

namespace berth::gateway::rest {

void serve_profiles(admin::HttpServer& http);

// `json`: {"product": YAML or JSON of one product, "topic", "payload" or "payload_hex", "device",
// "site"}. What it becomes, or why the question is none: status 422.
admin::Response try_profile(const std::string& json);

}  // namespace berth::gateway::rest
