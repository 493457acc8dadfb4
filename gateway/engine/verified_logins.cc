#include "gateway/engine/verified_logins.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <stdexcept>

namespace berth::gateway::engine {

void VerifiedLogins::FreeMac::operator()(evp_mac_ctx_st* c) const {
  EVP_MAC_CTX_free(c);
}

VerifiedLogins::VerifiedLogins() {
  std::array<unsigned char, 32> key{};
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  if (mac != nullptr) keyed_.reset(EVP_MAC_CTX_new(mac));
  EVP_MAC_free(mac);
  if (keyed_ == nullptr || RAND_bytes(key.data(), static_cast<int>(key.size())) != 1 ||
      EVP_MAC_init(keyed_.get(), key.data(), key.size(), parameters) != 1)
    throw std::runtime_error("OpenSSL has no HMAC or no random bytes");
  OPENSSL_cleanse(key.data(), key.size());
}

VerifiedLogins::Digest VerifiedLogins::digest(std::string_view stored,
                                              std::string_view password) const {
  const auto raw = [](std::string_view s) {
    return reinterpret_cast<const unsigned char*>(s.data());
  };
  Digest d{};
  std::size_t size = 0;
  EVP_MAC_CTX* c = keyed_.get();
  static constexpr std::string_view kEnd{"\0", 1};
  const bool good = EVP_MAC_init(c, nullptr, 0, nullptr) == 1 &&
                    EVP_MAC_update(c, raw(stored), stored.size()) == 1 &&
                    EVP_MAC_update(c, raw(kEnd), kEnd.size()) == 1 &&
                    EVP_MAC_update(c, raw(password), password.size()) == 1 &&
                    EVP_MAC_final(c, d.data(), &size, d.size()) == 1;
  if (!good) throw std::runtime_error("OpenSSL can't compute an HMAC");
  return d;
}

bool VerifiedLogins::knows(std::string_view user_name, std::string_view stored,
                           std::string_view password) const {
  const auto it = known_.find(std::string(user_name));
  if (it == known_.end()) return false;
  const Digest d = digest(stored, password);
  return CRYPTO_memcmp(d.data(), it->second.data(), d.size()) == 0;
}

void VerifiedLogins::remember(std::string_view user_name, std::string_view stored,
                              std::string_view password) {
  if (known_.size() >= kMost) known_.erase(known_.begin());
  known_.insert_or_assign(std::string(user_name), digest(stored, password));
}

}  // namespace berth::gateway::engine
