// What a registry says of commands: which device takes which, by which way, within which bounds.
// Asked on the shard's thread; must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace berth::platform {

struct Asked;
struct Entry;
struct Refusal;
struct Terms;

// A command as its device gets it.
struct Rendered {
  std::string topic;         // inside
  std::string payload;       // for MQTT
  std::string properties;    // MQTT 5, encoded
  std::string park_payload;  // for Park, whose COMMAND has the names and times itself
};

// What carries a device's commands out: the device that is told, and the part behind it. Devices
// with the same part are one to the gateway: a barrier, and the camera that opens it.
struct Part {
  std::string executor;  // empty: there is no such device
  std::string child;
};

// The same with its sites, where topics are.
struct Place : Part {
  std::string site;           // of the device
  std::string executor_site;  // of the device that is told
};

class CommandWays {
 public:
  virtual ~CommandWays() = default;
  // For a new command: its bounds, and the executor where `asked` names none.
  virtual Refusal terms(const Asked& asked, Terms& out) const = 0;
  virtual Part part_of(std::string_view tenant, std::string_view device) const = 0;
  // No executor: the registry does not know, and what is kept stays where it is.
  virtual Place place_of(std::string_view /*tenant*/, std::string_view /*device*/) const {
    return {};
  }
  // The devices whose commands may go over the connection of `executor`, itself first, until `f`
  // returns false.
  virtual void each_target(std::string_view tenant, std::string_view executor,
                           const std::function<bool(std::string_view device)>& f) const = 0;
  // Is `text` in what people call the device? Without a registry it has its name only.
  virtual bool is_called(std::string_view tenant, std::string_view device,
                         std::string_view text) const {
    return (void)tenant, device.find(text) != std::string_view::npos;
  }
  // Is it one of the topics of a product of the tenant, so that a device may hear it?
  virtual bool is_devices_topic(std::string_view /*tenant*/, std::string_view /*topic*/) const {
    return false;
  }
  // The members of a command in `payload`, as over REST; those that are there already stay. What is
  // wrong; empty: nothing.
  virtual std::string read_request(std::string_view payload, std::int64_t now_wall_ms,
                                   Asked& out) const = 0;
  // Immediately before it is handed out. `deadline_wall_ms`: 0: none. `left_ms`: until then. False:
  // there is no way any more.
  virtual bool render(const Entry& e, std::int64_t now_wall_ms, std::int64_t deadline_wall_ms,
                      std::int64_t left_ms, Rendered& out) const = 0;
};

}  // namespace berth::platform
