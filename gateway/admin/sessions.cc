#include "gateway/admin/sessions.h"

#include <algorithm>

namespace berth::gateway::admin {

std::string session_cookie_in(const std::string& header) {
  const std::string name = std::string(kSessionCookie) + "=";
  std::string found;
  for (std::size_t at = 0; at < header.size();) {
    const std::size_t end = std::min(header.find(';', at), header.size());
    const std::size_t begin = std::min(header.find_first_not_of(' ', at), end);
    const std::string one = header.substr(begin, end - begin);
    if (one.starts_with(name)) {
      if (!found.empty()) return {};
      found = one.substr(name.size());
    }
    at = end + 1;
  }
  return found;
}

}  // namespace berth::gateway::admin
