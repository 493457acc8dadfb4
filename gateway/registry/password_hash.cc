#include "gateway/registry/password_hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <charconv>
#include <stdexcept>
#include <vector>

namespace berth::gateway::registry {
namespace {

constexpr std::size_t kDigest = 64;
constexpr std::size_t kSalt = 12;

const unsigned char* raw(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

bool derive(std::string_view password, std::string_view salt, int iterations,
            unsigned char* digest) {
  return PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), raw(salt),
                           static_cast<int>(salt.size()), iterations, EVP_sha512(), kDigest,
                           digest) == 1;
}

std::vector<std::string_view> split(std::string_view s, char by) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= s.size();) {
    const std::size_t end = std::min(s.find(by, at), s.size());
    parts.push_back(s.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

}  // namespace

std::string decode_base64(std::string_view in) {
  if (in.empty() || in.size() % 4 != 0) return {};
  std::string out(in.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), raw(in),
                                static_cast<int>(in.size()));
  if (n < 0) return {};
  std::size_t padding = 0;
  while (padding < 2 && in[in.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), raw(bytes),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::optional<PasswordHash> PasswordHash::parse(std::string_view text, std::string& why) {
  const std::vector<std::string_view> p = split(text, '$');
  PasswordHash h;
  if (p.size() == 5 && p[1] == "7") {
    const auto [end, ec] = std::from_chars(p[2].data(), p[2].data() + p[2].size(), h.iterations_);
    if (ec != std::errc() || end != p[2].data() + p[2].size() || h.iterations_ < 1) {
      why = "bad iteration count";
      return std::nullopt;
    }
    if (h.iterations_ > kIterationsMax) {
      why = "more than " + std::to_string(kIterationsMax) + " iterations";
      return std::nullopt;
    }
  } else if (p.size() != 4 || p[1] != "6") {
    why = "unknown hash format, use mosquitto_passwd";
    return std::nullopt;
  }
  h.salt_ = decode_base64(p[p.size() - 2]);
  h.digest_ = decode_base64(p.back());
  if (!h.salt_.empty() && h.digest_.size() == kDigest) return h;
  why = "bad base64";
  return std::nullopt;
}

std::string PasswordHash::make(std::string_view password, int iterations) {
  unsigned char salt[kSalt] = {};
  unsigned char digest[kDigest];
  const std::string_view salt_text(reinterpret_cast<const char*>(salt), kSalt);
  if (RAND_bytes(salt, kSalt) != 1 || !derive(password, salt_text, iterations, digest))
    throw std::runtime_error("OpenSSL can't hash a password");
  return "$7$" + std::to_string(iterations) + "$" + encode_base64(salt_text) + "$" +
         encode_base64({reinterpret_cast<const char*>(digest), kDigest});
}

void PasswordHash::pretend(std::string_view password, int iterations) {
  PasswordHash h;
  h.iterations_ = iterations;
  h.salt_.assign(kSalt, 's');
  h.digest_.assign(kDigest, 'd');
  (void)h.verify(password);
}

bool PasswordHash::verify(std::string_view password) const {
  unsigned char digest[kDigest];
  if (iterations_ != 0) {
    if (!derive(password, salt_, iterations_, digest)) return false;
  } else {
    const std::string salted = std::string(password) + salt_;
    if (EVP_Digest(salted.data(), salted.size(), digest, nullptr, EVP_sha512(), nullptr) != 1)
      return false;
  }
  return CRYPTO_memcmp(digest, digest_.data(), kDigest) == 0;
}

}  // namespace berth::gateway::registry
