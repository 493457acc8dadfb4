// `berth ctl trace CLIENT`: what passes between a client and the gateway, a line for each packet,
// until the time is over or Ctrl-C (docs/operations.md, "A trace of one client").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class TraceVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit TraceVerb(CLI::App& control);
  TraceVerb(const TraceVerb&) = delete;  // the command line's options point to members
  TraceVerb& operator=(const TraceVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int trace(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  std::string client_, tenant_;
  std::uint32_t for_s_ = 300;
};

}  // namespace berth::gateway
