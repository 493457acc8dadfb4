// Passwords and keys in files: read when they are used, so that a new one counts from the next
// connection on.
#pragma once

#include <string>

namespace berth::gateway::uplink {

// Without the line end behind it. Throws std::runtime_error that names the file.
std::string secret_in(const std::string& path);

}  // namespace berth::gateway::uplink
