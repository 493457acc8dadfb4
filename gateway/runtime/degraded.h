// What this process serves with although the file on the disk is bad: what was good last is in
// force (I14). For /readyz and metrics: such a process is ready, because it may be the only one.
// One state for the whole process; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::gateway::runtime {

enum class Part : std::uint8_t {
  acl_file,
  password_file,
  link_certificates,
  device_certificates,
  uplinks_file
};

const char* name_of(Part part);

// `why`: what is wrong with the file on the disk; empty: it is in force.
void set_degraded(Part part, std::string why);

struct Degraded {
  Part part;
  std::string why;
};
std::vector<Degraded> degraded();

}  // namespace berth::gateway::runtime
