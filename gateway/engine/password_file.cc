#include "gateway/engine/password_file.h"

#include <fstream>
#include <stdexcept>

namespace berth::gateway::engine {

PasswordFile PasswordFile::load(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ":0: cannot be read");
  PasswordFile file;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    const auto bad = [&](const std::string& why) {
      return std::runtime_error(path + ":" + std::to_string(number) + ": " + why);
    };
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) throw bad("expected user:hash");
    std::string why;
    const auto hash = registry::PasswordHash::parse(std::string_view(line).substr(colon + 1), why);
    if (!hash) throw bad(why);
    file.users_.insert_or_assign(line.substr(0, colon), *hash);
    file.stored_.insert_or_assign(line.substr(0, colon), line.substr(colon + 1));
  }
  return file;
}

const std::string* PasswordFile::stored(std::string_view user) const {
  const auto it = stored_.find(std::string(user));
  return it == stored_.end() ? nullptr : &it->second;
}

bool PasswordFile::verify(const std::string& user, std::string_view password) const {
  const auto it = users_.find(user);
  return it != users_.end() && it->second.verify(password);
}

}  // namespace berth::gateway::engine
