// Passwords in Mosquitto's format: `user:$7$iterations$salt$hash`, PBKDF2-SHA512, base64 (RFC
// 8018).
// `$6$` (SHA512, salted) is read too. Immutable after load; any thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace berth::gateway::engine {

class PasswordFile {
 public:
  static PasswordFile load(const std::string& path);  // throws std::runtime_error with file:line
  bool verify(const std::string& user, std::string_view password) const;
  std::size_t size() const { return users_.size(); }

 private:
  struct Hash {
    int iterations = 0;  // 0: plain salted SHA512 ($6$)
    std::string salt;
    std::string digest;
  };
  std::unordered_map<std::string, Hash> users_;
};

}  // namespace berth::gateway::engine
