// Access rules in Mosquitto's format, one a line; the first part that speaks of a topic wins
// denies:
//   user NAME                                     following rules are this user's
//   topic [read|write|readwrite|deny] FILTER      of the user above, or of anonymous clients
//   pattern [read|write|readwrite|deny] FILTER    for all, %u user name, %c client id
// A topic is allowed if some rule allows it and no deny rule matches. No file: everything is
// allowed. Words are separated by spaces or tabs; a filter with a space in it needs its right in
// front. Lines that are none of these are errors (security_file.h). Immutable after load.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "session/access.h"

namespace berth::gateway::engine {

class SecurityFile;

class AclFile : public session::AccessPolicy {
 public:
  static AclFile load(const std::string& path);  // throws std::runtime_error with file:line
  bool may_publish(const session::Identity& who, std::string_view topic) const override;
  bool may_subscribe(const session::Identity& who, std::string_view filter) const override;

 private:
  enum class Right : unsigned char { read = 1, write = 2, readwrite = 3, deny = 4 };
  struct Rule {
    Right right;
    std::string filter;
  };
  static std::optional<Right> right_of(std::string_view word);
  static Rule rule_of(std::string_view text, const SecurityFile& at);
  bool allowed(const session::Identity& who, std::string_view topic, Right wanted,
               bool subscribe) const;
  std::unordered_map<std::string, std::vector<Rule>> users_;  // "" is anonymous
  std::vector<Rule> patterns_;
};

}  // namespace berth::gateway::engine
