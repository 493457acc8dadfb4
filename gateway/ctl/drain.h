// `berth ctl drain`: an edge or engine of a cluster hands over what it has, and whoever asks can
// wait until it has (docs/operations.md, "Ending a process of a cluster").
#pragma once

#include <cstdint>
#include <optional>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class DrainVerb {
 public:
  // Adds it to `berth ctl`, which outlives it.
  explicit DrainVerb(CLI::App& control);
  DrainVerb(const DrainVerb&) = delete;  // the command line's options point to members
  DrainVerb& operator=(const DrainVerb&) = delete;

  // After parsing. The exit code: 0 it drains, with --wait: nothing is left; 1 refused, or
  // something is left; 69 no answer; 75 --timeout has passed. Nothing: it was another verb.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int wait(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  bool wait_ = false;
  bool stay_ = false;
  std::uint32_t wait_s_ = 0;  // 0: without end
};

}  // namespace berth::gateway
