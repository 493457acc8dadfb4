// Errors of the API are JSON, {"error":{"code","message"}}, whatever part of the server has found
// them: scripts parse one kind of answer. Any thread.
#pragma once

#include <string>

#include "gateway/admin/message.h"

namespace berth::gateway::admin {

// An error in plain text to a request for `path` below /api/, as JSON; anything else as it is.
Response as_api_error(const std::string& path, Response r);

}  // namespace berth::gateway::admin
