// `berth ctl uplinks` (docs/uplinks.md).
#pragma once

#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class UplinksVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit UplinksVerb(CLI::App& control);
  UplinksVerb(const UplinksVerb&) = delete;  // the command line's options point to members
  UplinksVerb& operator=(const UplinksVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int list(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  CLI::App* forget_ = nullptr;
  std::string name_;
  bool json_ = false;
};

}  // namespace berth::gateway
