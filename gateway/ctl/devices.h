// `berth ctl devices`, `berth ctl history` and `berth ctl desired`: which devices are there, what
// has happened to them, and which have not answered their desired state (docs/platform.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class DevicesVerb {
 public:
  // Adds all to `berth ctl`, which outlives it.
  explicit DevicesVerb(CLI::App& control);
  DevicesVerb(const DevicesVerb&) = delete;  // the command line's options point to members
  DevicesVerb& operator=(const DevicesVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  void add_common(CLI::App& verb);
  int print(const Ctl& admin, const std::string& target) const;
  std::string devices_target() const;
  std::string history_target() const;
  std::string desired_target() const;

  CLI::App* devices_ = nullptr;
  CLI::App* history_ = nullptr;
  CLI::App* desired_ = nullptr;
  bool all_ = false;
  std::string tenant_, device_, site_, product_, online_, since_, from_, to_, types_, q_, cursor_;
  std::uint32_t limit_ = 100;
};

// An answer of GET /api/v1/presence, /api/v1/history, /api/v1/desired, or one device, as a table.
std::string devices_table(const std::string& json);

}  // namespace berth::gateway
