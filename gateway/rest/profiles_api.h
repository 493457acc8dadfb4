// A product's profile on one message, rule by rule, without a device: POST /api/v1/profiles/try
// (docs/console.md, docs/messages.md). On the server's thread; nothing is kept.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/admin/http_server.h"

namespace berth::gateway::rest {

// A caller may try kTrialsPerSecond a second: each takes the server's thread some milliseconds.
inline constexpr std::uint32_t kTrialsPerSecond = 5;
void serve_profiles(admin::HttpServer& http);

// `json`: {"product": YAML or JSON of one product, "topic", "payload" or "payload_hex", "device",
// "site"}. What it becomes, or why the question is none: status 422.
admin::Response try_profile(const std::string& json);

}  // namespace berth::gateway::rest
