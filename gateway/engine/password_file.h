// A file of user names and passwords as mosquitto_passwd writes it: `user:hash`
// (registry/password_hash.h), with the blanks Mosquitto takes (security_file.h). A user who stands
// there twice, or no user at all, is an error. Immutable after load; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/string_map.h"
#include "gateway/registry/hash_costs.h"

namespace berth::gateway::engine {

class PasswordFile {
 public:
  static constexpr std::size_t kNameMax = 256;        // bytes; longer names can't log in
  static PasswordFile load(const std::string& path);  // throws std::runtime_error with file:line
  // The hash that the file has for this user; null: it does not name the user.
  const std::string* stored(std::string_view user) const;
  const registry::HashCosts& costs() const { return costs_; }
  std::size_t size() const { return users_.size(); }
  struct Difference {  // users
    std::size_t added = 0;
    std::size_t removed = 0;
    std::size_t changed = 0;  // with another hash
  };
  Difference since(const PasswordFile& before) const;

 private:
  base::StringMap<std::string> users_;  // the hash as text
  registry::HashCosts costs_;
};

}  // namespace berth::gateway::engine
