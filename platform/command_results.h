// What a device says has become of a command, in whatever form its tenant's reports have
// (docs/messages.md, "Commands"). Plain functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "platform/command.h"

namespace berth::platform {

inline constexpr std::size_t kResultMax = 64 * 1024;  // bytes; of a larger one only the id is read

// An id that begins with it is a type, "~open": the vendor's answers have no id, and the one
// command of this type is meant that the device has been told (gateway/registry/command_rules.h).
inline constexpr char kUnnamed = '~';

// `inside`: $tenant/TENANT/v1/SITE/DEVICE/[sub/CHILD/]cmd/ID/res. False: another topic, or a
// progress report of a device that has not finished. The payload is an Envelope or a CommandResult,
// as Protobuf or JSON; anything else is a result that says nothing (uncertain,
// "unreadable_result").
bool read_result(std::string_view inside, std::string_view payload, std::string& id, Result& out);

}  // namespace berth::platform
