#include "gateway/engine/password_file.h"

#include <stdexcept>

#include "gateway/engine/security_file.h"
#include "gateway/registry/password_hash.h"

namespace berth::gateway::engine {

PasswordFile PasswordFile::load(const std::string& path) {
  SecurityFile lines(path);
  PasswordFile file;
  for (std::string_view line; lines.next(line);) {
    const std::size_t colon = line.find(':');
    const std::string_view user = trimmed(line.substr(0, colon));
    if (colon == std::string_view::npos || user.empty()) throw lines.bad("expected user:hash");
    if (user.size() > kNameMax) throw lines.bad("user name of more than 256 bytes");
    const std::string_view text = trimmed(line.substr(colon + 1));
    std::string why;
    const auto hash = registry::PasswordHash::parse(text, why);
    if (!hash) throw lines.bad(why);
    if (!file.users_.emplace(std::string(user), std::string(text)).second)
      throw lines.bad("user '" + std::string(user) + "' stands in a line above already");
    file.costs_.add(hash->iterations());
  }
  if (file.users_.empty()) throw std::runtime_error(path + ": names nobody");
  return file;
}

const std::string* PasswordFile::stored(std::string_view user) const {
  const auto it = users_.find(user);
  return it == users_.end() ? nullptr : &it->second;
}

PasswordFile::Difference PasswordFile::since(const PasswordFile& before) const {
  Difference d;
  for (const auto& [user, hash] : users_) {
    const std::string* then = before.stored(user);
    if (then == nullptr) {
      ++d.added;
    } else if (*then != hash) {
      ++d.changed;
    }
  }
  d.removed = before.size() + d.added - users_.size();
  return d;
}

}  // namespace berth::gateway::engine
