#include "gateway/engine/password_file.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <charconv>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace berth::gateway::engine {
namespace {

std::string decode_base64(const std::string& in) {
  if (in.empty() || in.size() % 4 != 0) return {};
  std::string out(in.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(in.data()),
                                static_cast<int>(in.size()));
  if (n < 0) return {};
  std::size_t padding = 0;
  while (padding < 2 && in[in.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

std::vector<std::string> split(const std::string& s, char by) {
  std::vector<std::string> parts(1);
  for (const char c : s) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

}  // namespace

PasswordFile PasswordFile::load(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ":0: cannot be read");
  PasswordFile file;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    const auto bad = [&](const char* why) {
      return std::runtime_error(path + ":" + std::to_string(number) + ": " + why);
    };
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) throw bad("expected user:hash");
    const std::vector<std::string> p = split(line.substr(colon + 1), '$');
    Hash h;
    if (p.size() == 5 && p[1] == "7") {
      const auto [end, ec] = std::from_chars(p[2].data(), p[2].data() + p[2].size(), h.iterations);
      if (ec != std::errc() || h.iterations < 1 || h.iterations > 10'000'000)
        throw bad("bad iteration count");
      h.salt = decode_base64(p[3]);
      h.digest = decode_base64(p[4]);
    } else if (p.size() == 4 && p[1] == "6") {
      h.salt = decode_base64(p[2]);
      h.digest = decode_base64(p[3]);
    } else {
      throw bad("unknown hash format, use mosquitto_passwd");
    }
    if (h.salt.empty() || h.digest.size() != 64) throw bad("bad base64");
    file.users_[line.substr(0, colon)] = std::move(h);
  }
  return file;
}

bool PasswordFile::verify(const std::string& user, std::string_view password) const {
  const auto it = users_.find(user);
  if (it == users_.end()) return false;
  const Hash& h = it->second;
  unsigned char digest[64];
  const auto* salt = reinterpret_cast<const unsigned char*>(h.salt.data());
  if (h.iterations != 0) {
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt,
                          static_cast<int>(h.salt.size()), h.iterations, EVP_sha512(), 64,
                          digest) != 1) {
      return false;
    }
  } else {
    const std::string salted = std::string(password) + h.salt;
    if (EVP_Digest(salted.data(), salted.size(), digest, nullptr, EVP_sha512(), nullptr) != 1)
      return false;
  }
  return CRYPTO_memcmp(digest, h.digest.data(), 64) == 0;
}

}  // namespace berth::gateway::engine
