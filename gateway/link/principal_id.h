// The name of a principal on links (PrincipalId), 128 bits: engines make it of the principal's key
// (session/principal_key.h) and tell edges. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "protocol/link/types.h"

namespace berth::gateway::link {

// The first 128 bits of SHA-256: of what is no secret. Throws std::runtime_error where OpenSSL has
// no SHA-256.
protocol::link::PrincipalId principal_id(std::string_view key);
// Those of HMAC-SHA256 under the secret of this process, so that nobody can try names against an id
// that a log or list shows. All engines of a store have the same secret
// (gateway/node/principal_secret.h).
protocol::link::PrincipalId keyed_principal_id(std::string_view key);
// Before the first keyed_principal_id(); the first one stays. Without, it is empty.
void use_principal_secret(std::string secret);
bool has_principal_secret();
// Another key, 32 bytes, made of the same secret. REQUIRES: has_principal_secret().
std::string derived_key(std::string_view purpose);
std::string text_of(const protocol::link::PrincipalId& id);  // 32 hexadecimal digits

}  // namespace berth::gateway::link
