// Strings of a peer, a file or a library as they may stand in a log line: no string can end a line,
// begin one, leave its quotes, move a terminal's cursor or turn the direction of writing. BERTH_LOG
// (log.h) writes every string it is given as LogText. Any thread.
//
//   "  \        a backslash in front
//   \n \r \t    so; other control characters, what is no UTF-8: \xNN
//   U+0080..9F, U+2028, U+2029, U+200E, U+200F, U+202A..E, U+2066..9, U+FEFF: \uNNNN
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <string_view>

namespace berth::base {

// The text inside of quotes that the format has, or a value of our own. At most kLogTextMax bytes
// of it are written; "…" says that there were more.
inline constexpr std::size_t kLogTextMax = 1024;
struct LogText {
  std::string_view text;
};

// A name that stands without quotes in the format (edge={}): it gets its own where it has anything
// but letters, digits, non-ASCII letters and . _ : / @ + - in it. At most `max` bytes.
inline constexpr std::size_t kLogNameMax = 96;
struct LogName {
  std::string_view text;
  std::size_t max = kLogNameMax;
};

}  // namespace berth::base

template <class T>
struct berth_log_formatter {
  constexpr auto parse(fmt::format_parse_context& c) { return c.begin(); }
  fmt::format_context::iterator format(T value, fmt::format_context& c) const;
};
template <>
struct fmt::formatter<berth::base::LogText> : berth_log_formatter<berth::base::LogText> {};
template <>
struct fmt::formatter<berth::base::LogName> : berth_log_formatter<berth::base::LogName> {};
