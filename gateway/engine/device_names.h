// What people call devices (车道1): display names in answers that have devices in them, and
// search by them (q=). An edge may have no registry, so the engine that answers adds them. On the
// engine's thread, which owns the registry.
#pragma once

#include <string>
#include <string_view>

#include "gateway/registry/registry.h"

namespace berth::gateway::engine {

class DeviceNames {
 public:
  // Outlives it.
  explicit DeviceNames(const registry::Registry& registry) : registry_(registry) {}
  // Views into the registry; empty: it has none.
  std::string_view display_name(std::string_view tenant, std::string_view device) const;
  std::string_view product(std::string_view tenant, std::string_view device) const;
  // Is `text` in the name or the display name, whatever the case of ASCII letters?
  bool is_called(std::string_view tenant, std::string_view device, std::string_view text) const;

  // Answers with the display names in them: pb::CommandAnswer, ListAnswer, HistoryAnswer,
  // DesiredAnswer (with the products, too).
  std::string in_command(std::string answer) const;
  std::string in_list(std::string answer) const;
  std::string in_history(std::string_view tenant, std::string answer) const;
  std::string in_desired(std::string_view tenant, std::string answer) const;

 private:
  std::string_view field(std::string_view tenant, std::string_view device, int number) const;

  const registry::Registry& registry_;
};

}  // namespace berth::gateway::engine
