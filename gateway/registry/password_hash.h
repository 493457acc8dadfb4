// Passwords as mosquitto_passwd keeps them: "$7$iterations$salt$hash", PBKDF2-SHA512, base64 (RFC
// 8018). "$6$" (SHA512, salted) is read too. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace berth::gateway::registry {

class PasswordHash {
 public:
  // A hash takes about 1 us an iteration, on one thread for all log-ins: more would let one record
  // keep everybody else waiting.
  static constexpr int kIterationsMax = 250'000;
  // Nothing for text that is none; then `why` says what is wrong.
  static std::optional<PasswordHash> parse(std::string_view text, std::string& why);
  static std::string make(std::string_view password, int iterations);
  bool verify(std::string_view password) const;   // takes its time: about 1 us an iteration
  int iterations() const { return iterations_; }  // 0: $6$
  // Takes as long as verify() of a hash with so many iterations.
  static void pretend(std::string_view password, int iterations);

 private:
  int iterations_ = 0;  // 0: plain salted SHA512 ($6$)
  std::string salt_;
  std::string digest_;
};

std::string decode_base64(std::string_view in);  // empty: it is none
std::string encode_base64(std::string_view bytes);

}  // namespace berth::gateway::registry
