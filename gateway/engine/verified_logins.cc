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
  auto* names = reinterpret_cast<unsigned char*>(&key_);
  if (keyed_ == nullptr || RAND_bytes(key.data(), static_cast<int>(key.size())) != 1 ||
      RAND_bytes(names, sizeof key_) != 1 ||
      EVP_MAC_init(keyed_.get(), key.data(), key.size(), parameters) != 1)
    throw std::runtime_error("OpenSSL has no HMAC or no random bytes");
  OPENSSL_cleanse(key.data(), key.size());
}

VerifiedLogins::Digest VerifiedLogins::digest(std::string_view user_name, std::string_view stored,
                                              std::string_view password) const {
  Digest d{};
  std::size_t size = 0;
  EVP_MAC_CTX* c = keyed_.get();
  static constexpr std::string_view kEnd{"\0", 1};
  bool good = EVP_MAC_init(c, nullptr, 0, nullptr) == 1;
  for (const std::string_view part : {user_name, kEnd, stored, kEnd, password}) {
    const auto* raw = reinterpret_cast<const unsigned char*>(part.data());
    good = good && EVP_MAC_update(c, raw, part.size()) == 1;
  }
  if (!good || EVP_MAC_final(c, d.data(), &size, d.size()) != 1)
    throw std::runtime_error("OpenSSL can't compute an HMAC");
  return d;
}

bool VerifiedLogins::knows(std::string_view user_name, std::string_view stored,
                           std::string_view password) const {
  const auto it = known_.find(base::siphash(key_, user_name));
  if (it == known_.end()) return false;
  const Digest d = digest(user_name, stored, password);
  return CRYPTO_memcmp(d.data(), it->second.data(), d.size()) == 0;
}

void VerifiedLogins::remember(std::string_view user_name, std::string_view stored,
                              std::string_view password) {
  const std::uint64_t h = base::siphash(key_, user_name);
  if (known_.insert_or_assign(h, digest(user_name, stored, password)).second) order_.push_back(h);
  if (order_.size() <= kMost) return;
  known_.erase(order_.front());
  order_.pop_front();
}

}  // namespace berth::gateway::engine
