// platform::CommandWays by the registry (gateway/registry/commands.h). On the engine's thread,
// which owns the registry.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/engine/device_names.h"
#include "gateway/registry/commands.h"
#include "gateway/registry/registry.h"
#include "platform/command_ways.h"

namespace berth::gateway::engine {

class CommandWays final : public platform::CommandWays {
 public:
  // The firmware that a device has reported; empty: it is not known here. Not sure: the device is
  // not connected here, and may have reported another one in another partition.
  struct Firmware {
    std::string version;
    bool sure = true;
  };
  using FirmwareOf = std::function<Firmware(std::string_view tenant, std::string_view device)>;
  CommandWays(const registry::Registry& registry, FirmwareOf firmware_of)
      : names_(registry), catalog_(registry), firmware_of_(std::move(firmware_of)) {}
  platform::Refusal terms(const platform::Asked& asked, platform::Terms& out) const override;
  platform::Part part_of(std::string_view tenant, std::string_view device) const override;
  platform::Place place_of(std::string_view tenant, std::string_view device) const override;
  void each_target(std::string_view tenant, std::string_view executor,
                   const std::function<bool(std::string_view device)>& f) const override;
  std::string read_request(std::string_view payload, std::int64_t now_wall_ms,
                           platform::Asked& out) const override;
  bool is_devices_topic(std::string_view tenant, std::string_view topic) const override {
    return catalog_.is_products_topic(tenant, topic);
  }
  bool is_called(std::string_view tenant, std::string_view device,
                 std::string_view text) const override {
    return names_.is_called(tenant, device, text);
  }
  bool render(const platform::Entry& e, std::int64_t now_wall_ms, std::int64_t deadline_wall_ms,
              std::int64_t left_ms, platform::Rendered& out) const override;

 private:
  Firmware firmware_of(const platform::Asked& asked) const;

  DeviceNames names_;
  mutable registry::CommandCatalog catalog_;  // keeps compiled profiles
  FirmwareOf firmware_of_;
};

}  // namespace berth::gateway::engine
