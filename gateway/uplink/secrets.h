// Passwords and keys in files: read when they are used, so that a new one counts from the next
// connection on. Only regular files of at most kSecretFileMax bytes: a pipe would hold up the
// thread of sinks for ever.
#pragma once

#include <cstddef>
#include <string>

#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

inline constexpr std::size_t kSecretFileMax = std::size_t{256} << 10;

// Without the line end behind it. Throws std::runtime_error that names the file.
std::string secret_in(const std::string& path);

// Before a library opens them: each file that the uplink names is regular, not too large, and, of
// an uplink that was defined over REST, in its directory whatever links there are. Throws
// std::runtime_error.
void check_files(const UplinkConfig& c);

}  // namespace berth::gateway::uplink
