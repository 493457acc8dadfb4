#include "gateway/rest/cursors.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "gateway/admin/problem.h"
#include "gateway/link/principal_id.h"

namespace berth::gateway::rest {

using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

constexpr std::size_t kSalt = 16;
constexpr std::size_t kTag = 16;
constexpr std::size_t kKey = 32;
constexpr std::uint32_t kKeyWithin_ms = 5000;

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string to_text(std::string_view bytes) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (held += 8; held >= 6; held -= 6) out.push_back(kDigits[bits >> (held - 6) & 63]);
  }
  if (held > 0) out.push_back(kDigits[bits << (6 - held) & 63]);
  return out;
}

// One text for the same bytes: unused bits are 0.
std::optional<std::string> of_text(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<char>(bits >> held & 255));
  }
  if (held == 6 || (bits & ((1U << held) - 1)) != 0) return std::nullopt;
  return out;
}

std::string random_bytes(std::size_t n) {
  std::string bytes(n, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(n)) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
  return bytes;
}

std::string hmac(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest,
           &size) == nullptr ||
      size != kKey)
    throw std::runtime_error("HMAC-SHA256 is not available");
  return {reinterpret_cast<const char*>(digest), size};
}

std::string named(const ListKind& list, std::string_view tenant) {
  std::string out(list.name);
  out.append(1, '\0').append(tenant);
  return out;
}

const unsigned char* bytes_of(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

// AES-256-GCM with a key that is used once, so with an IV of zeros.
struct Cipher {
  Cipher(const std::string& key, bool to_seal)
      : context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free) {
    const std::array<unsigned char, 12> iv{};
    if (context == nullptr || EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                                                bytes_of(key), iv.data(), to_seal ? 1 : 0) != 1)
      throw std::runtime_error("AES-256-GCM is not available");
  }
  std::string run(std::string_view about, std::string_view in) const {
    std::string out(in.size(), '\0');
    int n = 0;
    const auto size = [](std::string_view s) { return static_cast<int>(s.size()); };
    if (EVP_CipherUpdate(context.get(), nullptr, &n, bytes_of(about), size(about)) != 1 ||
        EVP_CipherUpdate(context.get(), reinterpret_cast<unsigned char*>(out.data()), &n,
                         bytes_of(in), size(in)) != 1)
      throw std::runtime_error("AES-256-GCM has failed");
    return out;
  }
  // False: what was opened is not what was sealed.
  bool end() const {
    unsigned char none[kTag];
    int n = 0;
    return EVP_CipherFinal_ex(context.get(), none, &n) == 1;
  }
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context;
};

}  // namespace

std::string Seal::close(const ListKind& list, std::string_view tenant,
                        std::string_view place) const {
  const std::string about = named(list, tenant);
  const std::string salt = list.is_same
                               ? hmac(key_, about + '\0' + std::string(place)).substr(0, kSalt)
                               : random_bytes(kSalt);
  std::string padded(place);
  padded.push_back('\1');
  padded.resize((padded.size() + list.width - 1) / list.width * list.width, '\0');
  const Cipher cipher(hmac(key_, salt), true);
  std::string sealed = salt + cipher.run(about, padded);
  std::string tag(kTag, '\0');
  if (!cipher.end() ||
      EVP_CIPHER_CTX_ctrl(cipher.context.get(), EVP_CTRL_GCM_GET_TAG, kTag, tag.data()) != 1)
    throw std::runtime_error("AES-256-GCM has failed");
  return to_text(sealed.append(tag));
}

std::optional<std::string> Seal::open(const ListKind& list, std::string_view tenant,
                                      std::string_view cursor) const {
  if (cursor.size() > list.characters_max) return std::nullopt;
  const std::optional<std::string> sealed = of_text(cursor);
  if (!sealed || sealed->size() <= kSalt + kTag) return std::nullopt;
  const std::string_view all(*sealed);
  const Cipher cipher(hmac(key_, all.substr(0, kSalt)), false);
  std::string place = cipher.run(named(list, tenant), all.substr(kSalt, all.size() - kSalt - kTag));
  std::string tag(all.substr(all.size() - kTag));
  if (EVP_CIPHER_CTX_ctrl(cipher.context.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) != 1 ||
      !cipher.end())
    return std::nullopt;
  place.resize(place.find_last_not_of('\0') + 1);
  if (place.empty() || place.back() != '\1') return std::nullopt;
  place.pop_back();
  return place;
}

admin::Response bad_cursor(const char* parameter) {
  return admin::problem(
      admin::codes::kInvalidCursor,
      std::string(parameter) + ": not one that this list has given; begin without it");
}

SealPtr Cursors::local() {
  if (!link::has_principal_secret()) return nullptr;
  static const SealPtr seal = std::make_shared<const Seal>(link::derived_key(kCursorPurpose));
  return seal;
}

namespace {

SealPtr of_this_process() {
  static const SealPtr seal = std::make_shared<const Seal>(random_bytes(kKey));
  return seal;
}

}  // namespace

// An engine of an older release knows no such question: then cursors are this process's own.
void Cursors::get(std::function<void(SealPtr)> then) {
  if (SealPtr seal = local()) return then(std::move(seal));
  if (asked_ != nullptr) return then(asked_);
  asker_.ask_partition(
      0, {AskKind::cursor_key, kKeyWithin_ms, {}},
      [this, alive = std::weak_ptr<bool>(alive_), then = std::move(then)](const link::Answer& a) {
        if (alive.expired()) return;
        if (a.error == AskError::none && a.bytes.size() == kKey)
          asked_ = std::make_shared<const Seal>(a.bytes);
        const bool old = a.error == AskError::unknown_kind || a.error == AskError::old_engine;
        then(asked_ == nullptr && old ? of_this_process() : asked_);
      });
}

}  // namespace berth::gateway::rest
