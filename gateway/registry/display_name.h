// What people call a record, in any script, beside the ASCII name that programs use. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace berth::gateway::registry {

inline constexpr std::size_t kDisplayNameMax = 64;  // characters

// Why a text is no display name; empty: it is one. An empty text is none said, and good.
std::string fault_of_display_name(std::string_view text);

// Text in which case makes no difference: letters of ASCII in lower case. Other scripts stay.
std::string folded(std::string_view text);
// Is `wanted`, which is folded(), in `text`?
bool contains_folded(std::string_view text, std::string_view wanted);

}  // namespace berth::gateway::registry
