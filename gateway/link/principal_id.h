// The name of a principal on links (PrincipalId): both ends make it from the same key.
#pragma once

#include <string>
#include <string_view>

#include "protocol/link/types.h"

namespace berth::gateway::link {

// The first 128 bits of SHA-256. Throws std::runtime_error where OpenSSL has no SHA-256.
protocol::link::PrincipalId principal_id(std::string_view key);
std::string text_of(const protocol::link::PrincipalId& id);  // 32 hexadecimal digits

}  // namespace berth::gateway::link
