// How log_text.h's strings become the characters of a line: for the code that makes lines.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "base/log_text.h"

namespace berth::base {

// Appends `text` as log_text.h says; `quotes`: whether " and \ are escaped.
void append_printable(fmt::memory_buffer& out, std::string_view text, bool quotes);
void append(fmt::memory_buffer& out, LogText t);
void append(fmt::memory_buffer& out, LogName n);

}  // namespace berth::base
