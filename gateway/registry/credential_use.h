// What somebody has logged in with, as session::AuthResult::credential has it: the Broker and the
// cookie keep it, and Registry::credential_until() is asked about it when the registry changes.
//
//   use := credential_id [NUL authorities]     of a certificate: those of its session::AuthRequest
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace berth::gateway::registry {

struct CredentialUse {
  std::string_view id;
  std::string_view authorities;  // empty: no certificate, or let in by an engine that kept none
};

inline std::string credential_use(std::string id, std::string_view authorities) {
  if (!authorities.empty()) id.append(1, '\0').append(authorities);
  return id;
}

inline CredentialUse parse_credential_use(std::string_view use) {
  const std::size_t end = std::min(use.find('\0'), use.size());
  return {use.substr(0, end), use.substr(std::min(end + 1, use.size()))};
}

}  // namespace berth::gateway::registry
