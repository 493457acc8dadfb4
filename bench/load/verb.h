// `berth bench` on the command line.
#pragma once

#include <optional>

#include "bench/load/bench.h"

namespace CLI {
class App;
}

namespace berth::bench {

class BenchVerb {
 public:
  BenchVerb(CLI::App& app, int argc, char** argv);
  std::optional<int> run() const;  // nothing: it was another command

 private:
  CLI::App* verb_;
  Options options_;
};

}  // namespace berth::bench
