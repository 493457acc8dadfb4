#include "gateway/rest/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/text.h"

namespace berth::gateway::registry {
namespace {

constexpr std::size_t kDigestDigits = 64;
constexpr std::size_t kClientIdMax = 256;
constexpr std::size_t kNonceMin = 8;
constexpr std::size_t kNonceMax = 64;

bool is_digest(std::string_view s) {
  return s.size() == kDigestDigits &&
         s.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_nonce(std::string_view s) {
  return s.size() >= kNonceMin && s.size() <= kNonceMax &&
         std::all_of(s.begin(), s.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// name="value" or name=value; false: it is none, or an unknown or repeated name.
bool take(std::string_view part, Signed& s) {
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = trimmed(part.substr(0, equals));
  std::string_view value = trimmed(part.substr(equals + 1));
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  std::string* at = name == "client_id"   ? &s.client_id
                    : name == "timestamp" ? &s.timestamp
                    : name == "nonce"     ? &s.nonce
                    : name == "body"      ? &s.body
                    : name == "signature" ? &s.signature
                                          : nullptr;
  if (at == nullptr || !at->empty() || value.empty()) return false;
  *at = value;
  return true;
}

}  // namespace

std::optional<Signed> parse_signed(std::string_view text, std::string& why) {
  Signed s;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (!take(text.substr(0, end), s)) {
      why = "Authorization: client_id, timestamp, nonce, body and signature, each once";
      return std::nullopt;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const char* first = s.timestamp.data();
  const char* last = first + s.timestamp.size();
  const auto r = std::from_chars(first, last, s.seconds);
  const bool number = r.ec == std::errc() && r.ptr == last && s.seconds >= 0;
  if (s.client_id.empty() || s.client_id.size() > kClientIdMax)
    why = "client_id: ACCOUNT@TENANT";
  else if (!number)
    why = "timestamp: seconds since 1970";
  else if (!is_nonce(s.nonce))
    why = "nonce: 8 to 64 printable characters";
  else if (!is_digest(s.body))
    why = "body: the SHA-256 of the body, 64 hex digits in lower case";
  else if (!is_digest(s.signature))
    why = "signature: 64 hex digits in lower case";
  return why.empty() ? std::optional(std::move(s)) : std::nullopt;
}

std::string signature_of(const Signed& s, std::string_view method, std::string_view target,
                         std::string_view key) {
  std::string text = s.client_id + "\n" + s.timestamp + "\n" + s.nonce + "\n";
  text.append(method).append("\n").append(target).append("\n").append(s.body);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

}  // namespace berth::gateway::registry
