// `berth ctl commands`: lists, shows, sends and cancels commands to devices (docs/platform.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class CommandsVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit CommandsVerb(CLI::App& control);
  CommandsVerb(const CommandsVerb&) = delete;  // the command line's options point to members
  CommandsVerb& operator=(const CommandsVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin);

 private:
  void add_list(CLI::App& all);
  void add_one(CLI::App& all);
  void add_send(CLI::App& all);
  int print(const Ctl& admin, const std::string& method, const std::string& target,
            const std::string& body, bool must_succeed) const;
  int send(const Ctl& admin);
  std::string of_tenant() const;

  CLI::App* list_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* send_ = nullptr;
  CLI::App* cancel_ = nullptr;
  std::string tenant_, device_, site_, state_, from_, to_, cursor_;
  std::string id_, type_, payload_, reason_;
  std::uint32_t limit_ = 50, ttl_ms_ = 0, wait_ms_ = 0;
};

// The page of GET /api/v1/commands, or one command, as a table.
std::string commands_table(const std::string& json);

}  // namespace berth::gateway
