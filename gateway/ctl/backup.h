// `berth ctl backup` and `berth ctl restore` (docs/operations.md, "Backup and restore").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class BackupVerbs {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit BackupVerbs(CLI::App& control);
  BackupVerbs(const BackupVerbs&) = delete;  // the command line's options point to members
  BackupVerbs& operator=(const BackupVerbs&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int list(const Ctl& admin) const;
  int make(const Ctl& admin) const;
  int restore() const;

  CLI::App* backup_ = nullptr;
  CLI::App* list_ = nullptr;
  CLI::App* restore_ = nullptr;
  std::uint32_t limit_s_ = 3600;
  std::string from_, data_;
};

}  // namespace berth::gateway
