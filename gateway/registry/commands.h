// The command catalog: by the registry, which type of command may be sent to which device, how, and
// with which bounds; how it is said to the device; and what a device's message says of one. Owned
// by the thread of its registry.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/registry/product_topics.h"
#include "gateway/registry/profiles.h"
#include "platform/command.h"
#include "platform/command_ways.h"
#include "session/scope.h"

namespace berth::gateway::registry {

// What a caller asks for.
struct CommandAsked {
  std::string_view tenant;
  std::string_view device;    // the target: a barrier
  std::string_view type;      // canonical, an alias, or the product's own
  std::string_view executor;  // the device that the caller takes to carry it out; empty: any
  std::string_view
      firmware;  // of the device that carries it out, as it reported; empty: as registered
  std::string_view payload;  // as a service would publish it: text, or JSON
  std::optional<std::uint32_t> ttl_ms;
  // The device is connected elsewhere, and may have reported another firmware there: where no
  // variant is for the one that is known here, the first one counts.
  bool any_firmware = false;
  // A service has published it over MQTT itself: it waits for a disabled device, and the payload of
  // a canonical type is its own affair.
  bool published = false;
};

// Why a command is not taken: an HTTP status, a stable code for programs, a text for people.
struct CommandRefusal {
  int status = 0;  // 0: it is taken
  const char* code = "";
  std::string text;
};

// What the code means, as text that lives as long as the program.
const char* literal_of(const CommandRefusal& refusal);

// How one attempt is said. Times by the gateway's wall clock.
struct CommandSaid {
  std::string_view id;
  std::int64_t wall_ms = 0;           // now, since 1970
  std::int64_t deadline_unix_ms = 0;  // 0: none
  std::uint32_t ttl_ms = 0;           // left now
  std::string_view traceparent;       // W3C; may be empty
};
struct CommandMessage {
  std::string topic;    // inside: $tenant/T/…
  std::string payload;  // for MQTT. A Park device gets the plan's payload: its COMMAND has the rest
  std::string
      properties;  // of MQTT 5, encoded: Content Type; deadline_unix_ms, ttl_ms, traceparent
};

struct CommandPlan {
  CommandRefusal refusal;
  bool good() const { return refusal.status == 0; }

  std::string tenant;
  std::string type;  // canonical
  CommandClass delivery = CommandClass::immediate;
  std::uint32_t ttl_ms = 0;  // as asked for, or the type's
  std::uint32_t ttl_max_ms = 0;
  std::uint32_t result_ms = 0;
  std::uint8_t qos = 0;
  std::string site;           // of the target
  std::string executor;       // the device whose connection it goes over; often the target itself
  std::string executor_site;  // where its topics are
  std::string child;          // behind `executor`; empty: the executor itself
  std::string payload;        // as asked for, with what an alias says
  ProfilePtr profile;         // of `executor`; null: it has no product
  const CommandRule* rule = nullptr;  // in `profile`; null: the canonical way

  // Inside, without vendor's words: of `executor` and `child`.
  std::string native_topic(std::string_view id, std::string_view name) const;
  // False: `why`, without a value of the payload; plan() has tried it once. REQUIRES: good().
  bool render(const CommandSaid& said, CommandMessage& out, std::string& why) const;
};

class CommandCatalog {
 public:
  explicit CommandCatalog(const Registry& registry) : registry_(registry), profiles_(registry) {}
  CommandCatalog(const CommandCatalog&) = delete;  // parts of it refer to others
  CommandCatalog& operator=(const CommandCatalog&) = delete;

  CommandPlan plan(const CommandAsked& asked);
  // Of a message that this device publishes to `topic`, as the device calls it: its own result
  // (v1/cmd/ID/res), or the answer of a vendor. Nothing: the message says nothing of a command.
  std::optional<CommandAnswer> result_of(const session::Scope& device, std::string_view topic,
                                         std::string_view payload);
  // The device whose connection commands to this one go over, and the part behind it; no executor:
  // there is none.
  platform::Part part_of(std::string_view tenant, std::string_view device) const;
  // Empty: there is no such device.
  std::string site_of(std::string_view tenant, std::string_view device) const {
    const auto d = device_of(tenant, device);
    return d ? d->site() : std::string();
  }
  // Devices whose commands may go over this one's connection, itself first, until `f` returns
  // false. Perhaps more than part_of() says.
  void each_target(std::string_view tenant, std::string_view carrier,
                   const std::function<bool(std::string_view device)>& f) const;
  // Has this type a class for this device, so that it may be sent at all? True too for a device
  // that is not registered.
  bool has_class(std::string_view tenant, std::string_view device, std::string_view type);
  // How long a command of this type is good for at this device; of a device that is not registered
  // as its type says. Nothing: the type has no class.
  std::optional<CommandBounds> bounds_of(std::string_view tenant, std::string_view device,
                                         std::string_view type);
  // Of any product of the tenant: one with %d or %s in it stands for all devices and sites.
  bool is_products_topic(std::string_view tenant, std::string_view topic) {
    return topics_.has(tenant, topic);
  }
  ProductTopics& topics() { return topics_; }
  Profiles& profiles() { return profiles_; }

 private:
  CommandRefusal find_devices(const CommandAsked& asked, CommandPlan& out);
  // Another device whose commands go to the same part of the same executor; empty: none.
  std::string twin_of(const CommandAsked& asked, const CommandPlan& out);
  CommandRefusal find_rule(const CommandAsked& asked, std::string firmware, CommandPlan& out);
  std::optional<pb::Device> device_of(std::string_view tenant, std::string_view name) const;
  const char* disabled(std::string_view tenant, const pb::Device& d) const;

  const Registry& registry_;
  Profiles profiles_;
  ProductTopics topics_{registry_, profiles_};
};

// As the ledger keeps it.
platform::Result result_of(const CommandAnswer& answer);

}  // namespace berth::gateway::registry
