#include "gateway/registry/command_types.h"

#include <algorithm>
#include <array>

namespace berth::gateway::registry {
namespace {

constexpr std::uint32_t kSecond = 1000;
constexpr std::uint32_t kMinute = 60 * kSecond;
constexpr std::uint32_t kDay = 24 * 60 * kMinute;

// set_time and reboot wait for a short interruption of the connection only: a time that is set late
// is a wrong time, and a restart hours later meets a device in the middle of something else.
constexpr auto kTypes = std::to_array<CommandType>({
    {"open", CommandClass::immediate, {2 * kSecond, 10 * kSecond, 5 * kSecond}},
    {"close", CommandClass::immediate, {2 * kSecond, 10 * kSecond, 5 * kSecond}},
    {"hold", CommandClass::desired, {7 * kDay, 7 * kDay, 10 * kSecond}},
    {"snapshot", CommandClass::immediate, {2 * kSecond, 10 * kSecond, 10 * kSecond}},
    {"voice", CommandClass::immediate, {2 * kSecond, 10 * kSecond, 5 * kSecond}},
    {"display", CommandClass::latest, {30 * kSecond, 10 * kMinute, 10 * kSecond}},
    {"white_list", CommandClass::queued, {kDay, 7 * kDay, kMinute}},
    {"set_time", CommandClass::queued, {10 * kSecond, kMinute, 10 * kSecond}},
    {"reboot", CommandClass::queued, {30 * kSecond, 5 * kMinute, 30 * kSecond}},
    {"charge_start", CommandClass::immediate, {2 * kSecond, kMinute, kMinute}},
    {"charge_stop", CommandClass::must, {kDay, kDay, kMinute}},
});

constexpr std::string_view kHoldOpen = R"({"mode":"HOLD_OPEN"})";
constexpr std::string_view kHoldClosed = R"({"mode":"HOLD_CLOSED"})";
constexpr std::string_view kAuto = R"({"mode":"AUTO"})";

constexpr auto kAliases = std::to_array<CommandAlias>({
    {"open_gate", "open", {}},
    {"open_barrier", "open", {}},
    {"open_door", "open", {}},
    {"close_gate", "close", {}},
    {"close_barrier", "close", {}},
    {"close_door", "close", {}},
    {"keep_open", "hold", kHoldOpen},
    {"keep_closed", "hold", kHoldClosed},
    {"cancel_keep_open", "hold", kAuto},
    {"cancel_keep_closed", "hold", kAuto},
    {"barrier_mode", "hold", {}},
    {"tts", "voice", {}},
    {"display_text", "display", {}},
    {"white_list_sync", "white_list", {}},
    {"sync_time", "set_time", {}},
    {"start_charge", "charge_start", {}},
    {"stop_charge", "charge_stop", {}},
});

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

const char* name_of(CommandClass c) {
  switch (c) {
    case CommandClass::immediate:
      return "immediate";
    case CommandClass::latest:
      return "latest";
    case CommandClass::queued:
      return "queued";
    case CommandClass::must:
      return "must";
    case CommandClass::desired:
      return "desired";
  }
  return "";
}

std::optional<CommandClass> class_named(std::string_view name) {
  for (const CommandClass c : {CommandClass::immediate, CommandClass::latest, CommandClass::queued,
                               CommandClass::must, CommandClass::desired}) {
    if (name == name_of(c)) return c;
  }
  return std::nullopt;
}

CommandBounds bounds_of(CommandClass c) {
  switch (c) {
    case CommandClass::immediate:
      return {2 * kSecond, kMinute, 10 * kSecond};
    case CommandClass::latest:
      return {30 * kSecond, kDay, 10 * kSecond};
    case CommandClass::queued:
    case CommandClass::must:
      return {kDay, 7 * kDay, kMinute};
    case CommandClass::desired:
      break;
  }
  return {7 * kDay, 7 * kDay, 10 * kSecond};
}

std::span<const CommandType> command_types() {
  return kTypes;
}

std::span<const CommandAlias> command_aliases() {
  return kAliases;
}

const CommandAlias* find_alias(std::string_view said) {
  const std::string name = lower(said);
  const auto* it = std::find_if(kAliases.begin(), kAliases.end(),
                                [&](const auto& a) { return a.alias == name; });
  return it == kAliases.end() ? nullptr : it;
}

std::string canonical_type(std::string_view said) {
  const CommandAlias* alias = find_alias(said);
  return alias != nullptr ? std::string(alias->name) : lower(said);
}

const CommandType* find_type(std::string_view canonical) {
  const auto* it = std::find_if(kTypes.begin(), kTypes.end(),
                                [&](const auto& t) { return t.name == canonical; });
  return it == kTypes.end() ? nullptr : it;
}

bool may_deliver(const CommandType& type, CommandClass c) {
  if (c == type.delivery) return true;
  const bool waits = type.delivery == CommandClass::latest || type.delivery == CommandClass::queued;
  return waits && c == CommandClass::immediate;
}

}  // namespace berth::gateway::registry
