// The types of command that every product knows: how each may be delivered and how long it is good
// for (docs/messages.md, "Types of command"). A type is lower case with underscores; the names of
// other contracts (OPEN_GATE, start_charge) are aliases. Plain functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace berth::gateway::registry {

// How a command is delivered. The numbers are those of platform::Delivery.
enum class CommandClass : std::uint8_t {
  immediate = 1,
  latest = 2,
  queued = 3,
  must = 4,
  desired =
      5  // a state that the device keeps: the newest counts, also for a device that comes later
};
const char* name_of(CommandClass c);
std::optional<CommandClass> class_named(std::string_view name);

struct CommandBounds {
  std::uint32_t ttl_ms = 0;      // of a caller that names none
  std::uint32_t ttl_max_ms = 0;  // more is refused
  std::uint32_t result_ms = 0;   // after the command was sent, so long for its result
};
// Of a type that is not canonical; no product may go beyond `ttl_max_ms`.
CommandBounds bounds_of(CommandClass c);

struct CommandType {
  std::string_view name;
  CommandClass delivery{};
  CommandBounds bounds;
};
std::span<const CommandType> command_types();

struct CommandAlias {
  std::string_view alias;  // in lower case
  std::string_view name;
  std::string_view payload;  // what the alias says beside the type, where the caller gives none
};
std::span<const CommandAlias> command_aliases();

// "OPEN_GATE" -> "open". Not an alias: in lower case.
std::string canonical_type(std::string_view said);
// Of a canonical name; null: it is none.
const CommandType* find_type(std::string_view canonical);
const CommandAlias* find_alias(std::string_view said);
// May a product deliver commands of this type so? A pulse that moves something is never anything
// but immediate, and what has to reach its device is never given up earlier.
bool may_deliver(const CommandType& type, CommandClass c);

}  // namespace berth::gateway::registry
