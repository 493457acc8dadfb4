#include "gateway/link/principal_id.h"

#include <openssl/evp.h>

#include <cstdio>
#include <stdexcept>

#include "base/bytes.h"

namespace berth::gateway::link {

protocol::link::PrincipalId principal_id(std::string_view key) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(key.data(), key.size(), digest, &size, EVP_sha256(), nullptr) != 1 || size < 16)
    throw std::runtime_error("SHA-256 is not available");
  const std::string_view d(reinterpret_cast<const char*>(digest), size);
  return {base::get_key64(d), base::get_key64(d.substr(8))};
}

std::string text_of(const protocol::link::PrincipalId& id) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(id.high),
                static_cast<unsigned long long>(id.low));
  return text;
}

}  // namespace berth::gateway::link
