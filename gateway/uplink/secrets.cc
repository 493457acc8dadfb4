#include "gateway/uplink/secrets.h"

#include "base/read_file.h"

namespace berth::gateway::uplink {

std::string secret_in(const std::string& path) {
  std::string s = base::read_file(path);
  while (s.ends_with('\n') || s.ends_with('\r')) s.pop_back();
  return s;
}

}  // namespace berth::gateway::uplink
