// `berth ctl log-level`: shows the levels of the log, and sets that of a module for a limited time
// (docs/operations.md, "Another level for a while").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class LogLevelVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit LogLevelVerb(CLI::App& control);
  LogLevelVerb(const LogLevelVerb&) = delete;  // the command line's options point to members
  LogLevelVerb& operator=(const LogLevelVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int change(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  std::string module_, level_;
  std::uint32_t for_s_ = 600;
  bool end_ = false;
};

// An answer of /api/v1/log-level for people.
std::string log_levels_text(const std::string& json);

}  // namespace berth::gateway
