// How a request is signed (docs/api.md, "Signed requests"): HMAC-SHA256 with the key of a
// credential of type "hmac". Any thread.
//
//   Authorization: HMAC-SHA256 client_id="platform@acme", timestamp="1764417600",
//                  nonce="4f0c…", body="SHA-256 of the body, hex", signature="hex"
//
//   signature := HEX(HMAC-SHA256(key, client_id LF timestamp LF nonce LF METHOD LF target LF body))
//   target    := path ["?" query], as on the request line
//
// The digest of the body is signed, so that a request is proved before its body is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::gateway::registry {

struct Signed {
  std::string client_id;
  std::string timestamp;  // seconds since 1970
  std::string nonce;
  std::string body;       // 64 hex digits, lower case
  std::string signature;  // the same
  std::int64_t seconds = 0;
};
inline constexpr const char* kSignedScheme = "HMAC-SHA256";

// What stands behind the scheme; nothing: `why` says what is wrong with it.
std::optional<Signed> parse_signed(std::string_view text, std::string& why);
// Hex, of this key.
std::string signature_of(const Signed& s, std::string_view method, std::string_view target,
                         std::string_view key);

}  // namespace berth::gateway::registry
