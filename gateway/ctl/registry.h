// `berth ctl registry …`: export and import of all records, and what to do about their loss
// (docs/registry.md).
#pragma once

#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class RegistryVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit RegistryVerb(CLI::App& control);
  RegistryVerb(const RegistryVerb&) = delete;  // the command line's options point to members
  RegistryVerb& operator=(const RegistryVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
  CLI::App* accept_ = nullptr;
  CLI::App* restore_ = nullptr;
  std::string file_;
  bool replace_ = false;
};

}  // namespace berth::gateway
