// `berth ctl config show|diff|reload`: the configuration in force, what its files have beside it,
// and that they be read now (docs/operations.md, "Configuration that changes").
#pragma once

#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class ConfigVerb {
 public:
  static constexpr int kDiffers = 3;  // exit code: something is not in force, a restart takes it
  // Adds it to `berth ctl`, which outlives it.
  explicit ConfigVerb(CLI::App& control);
  ConfigVerb(const ConfigVerb&) = delete;  // the command line's options point to members
  ConfigVerb& operator=(const ConfigVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int print(const Ctl& admin, const std::string& method, const std::string& target) const;

  CLI::App* config_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* diff_ = nullptr;
  CLI::App* reload_ = nullptr;
};

// Answers of the three for people, and the exit code of diff and reload by their answer.
std::string config_text(const std::string& json);
int config_exit_code(const std::string& json);

}  // namespace berth::gateway
