// One run: the scenario with what the command line says of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/scenario.h"
#include "bench/load/target.h"

namespace berth::bench {

struct Plan {
  Scenario scenario;
  Target target;
  std::vector<in_addr> sources;
  std::uint32_t processes = 1;
  std::uint32_t window = 0;  // closed loop: messages under way of each publisher; 0: open loop
  std::uint32_t under_way = 1000;  // open loop: at most so many of each publisher
  std::uint64_t messages = 0;      // publish so many, then end; 0: until the time is over
  double connect_limit_s = 10;
  double drain_s = 10;         // to wait for what is on its way
  std::string run;             // of this run: in topics and client ids
  std::string user, password;  // %i: the number of the device

  bool open_loop() const { return window == 0; }
};

}  // namespace berth::bench
