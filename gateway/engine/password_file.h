// A file of user names and passwords as mosquitto_passwd writes it: `user:hash`
// (registry/password_hash.h). Immutable after load; any thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "gateway/registry/password_hash.h"

namespace berth::gateway::engine {

class PasswordFile {
 public:
  static PasswordFile load(const std::string& path);  // throws std::runtime_error with file:line
  bool verify(const std::string& user, std::string_view password) const;
  // The hash that the file has for this user; null: it does not name the user.
  const std::string* stored(std::string_view user) const;
  std::size_t size() const { return users_.size(); }

 private:
  std::unordered_map<std::string, registry::PasswordHash> users_;
  std::unordered_map<std::string, std::string> stored_;
};

}  // namespace berth::gateway::engine
