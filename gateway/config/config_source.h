// How a process reads its configuration again while it runs. Plain data; load() on any thread.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "gateway/config/config.h"

namespace berth::gateway {

struct ConfigSource {
  std::string file;              // --config; empty: none
  std::function<Config()> load;  // reads by base::read_file(); throws ConfigError
  // Keys that a flag or the environment has set: the file can't change them.
  std::set<std::string> fixed;
};

// The source of an engine that `berth serve` starts: its environment has the settings of the edge,
// and names the file and the fixed keys. What takes effect at once is as the file has it now.
ConfigSource engine_source();
// For engine_source() of processes that are started from now on. REQUIRES: one thread.
void hand_down(const ConfigSource& source);

}  // namespace berth::gateway
