// `berth sim`: runs a Lot against a gateway, tells people how it goes and scripts how it went.
#pragma once

#include <cstdint>
#include <string>

namespace berth::sim {

struct Options {
  std::string lot;          // path of its YAML
  std::uint32_t for_s = 0;  // 0: until SIGINT or SIGTERM
  std::uint32_t seed = 1;
  std::uint32_t every_s = 5;  // a line of progress
  bool json = false;          // only the summary, as JSON
  bool news = false;          // what happens, as the platform hears it
  bool registry = false;      // print what a gateway's registry file needs, and end
  std::string mqtt, park;     // HOST:PORT instead of the lot's
  double speed = 0;           // instead of the lot's
};

// 0: events were said, no acknowledged one was lost and nobody was disconnected; 1: something was,
// or nothing came of it; 64: usage; 69: no gateway lets the platform in.
int run(const Options& options);

}  // namespace berth::sim
