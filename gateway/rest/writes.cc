#include "gateway/rest/writes.h"

#include <algorithm>

#include "gateway/registry/registry.h"

namespace berth::gateway::registry {

std::size_t new_among(const std::vector<Write>& writes, std::size_t count) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < count && i < writes.size(); ++i) {
    const Write& w = writes[i];
    if (w.value && w.expected && w.expected->empty()) ++found;
  }
  return found;
}

std::string place_in(const std::vector<Said>* said, const std::string& key) {
  if (said == nullptr) return {};
  const auto it =
      std::find_if(said->begin(), said->end(), [&](const Said& s) { return s.key == key; });
  return it == said->end() || it->line == 0 ? std::string()
                                            : "line " + std::to_string(it->line) + ": ";
}

std::string shared_login(const std::vector<std::string>& logins, const std::string& holder,
                         const std::string* record) {
  const Key key = parse_key(holder);
  for (const std::string& theirs : record == nullptr
                                       ? std::vector<std::string>()
                                       : logins_of(key, *message_of(key.kind, *record))) {
    if (std::find(logins.begin(), logins.end(), theirs) != logins.end())
      return "the credential '" + theirs + "'";
  }
  return "a credential";
}

}  // namespace berth::gateway::registry
