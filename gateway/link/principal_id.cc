#include "gateway/link/principal_id.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <utility>

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

namespace {
std::mutex g_mutex;
std::string& secret() {
  static std::string s;
  return s;
}
}  // namespace

void use_principal_secret(std::string s) {
  const std::lock_guard lock(g_mutex);
  if (secret().empty()) secret() = std::move(s);
}

bool has_principal_secret() {
  const std::lock_guard lock(g_mutex);
  return !secret().empty();
}

namespace {

std::string keyed(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const std::lock_guard lock(g_mutex);
  if (HMAC(EVP_sha256(), secret().data(), static_cast<int>(secret().size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest,
           &size) == nullptr ||
      size < 16)
    throw std::runtime_error("HMAC-SHA256 is not available");
  return {reinterpret_cast<const char*>(digest), size};
}

}  // namespace

// No key of a principal begins with a zero.
std::string derived_key(std::string_view purpose) {
  return keyed(std::string(1, '\0').append(purpose));
}

protocol::link::PrincipalId keyed_principal_id(std::string_view key) {
  const std::string digest = keyed(key);
  const std::string_view d(digest);
  return {base::get_key64(d), base::get_key64(d.substr(8))};
}

std::string text_of(const protocol::link::PrincipalId& id) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(id.high),
                static_cast<unsigned long long>(id.low));
  return text;
}

}  // namespace berth::gateway::link
