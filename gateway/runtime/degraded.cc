#include "gateway/runtime/degraded.h"

#include <map>
#include <mutex>

namespace berth::gateway::runtime {

namespace {

std::mutex g_mutex;
std::map<Part, std::string>& parts() {
  static std::map<Part, std::string> all;  // as many as there are parts
  return all;
}

}  // namespace

const char* name_of(Part part) {
  switch (part) {
    case Part::acl_file:
      return "acl_file";
    case Part::password_file:
      return "password_file";
    case Part::link_certificates:
      return "link_certificates";
    case Part::device_certificates:
      return "device_certificates";
    case Part::uplinks_file:
      return "uplinks_file";
  }
  return "";
}

void set_degraded(Part part, std::string why) {
  const std::lock_guard lock(g_mutex);
  if (why.empty()) {
    parts().erase(part);
  } else {
    parts()[part] = std::move(why);
  }
}

std::vector<Degraded> degraded() {
  const std::lock_guard lock(g_mutex);
  std::vector<Degraded> all;
  for (const auto& [part, why] : parts()) all.push_back({part, why});
  return all;
}

}  // namespace berth::gateway::runtime
