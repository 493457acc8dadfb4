#include "base/log_text.h"

#include <algorithm>
#include <cstdint>

#include "base/log_escape.h"

namespace berth::base {
namespace {

constexpr std::string_view kMore = "…";

void put(fmt::memory_buffer& out, std::string_view s) {
  out.append(s.data(), s.data() + s.size());
}

// The bytes of the UTF-8 character at the front and its code point; 0: there is none (RFC 3629).
std::size_t utf8_at(std::string_view in, std::uint32_t& code) {
  const auto byte = [in](std::size_t i) { return static_cast<std::uint8_t>(in[i]); };
  const std::uint8_t first = byte(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                           : first < 0xf5 ? 4
                                          : 0;
  if (size == 0 || size > in.size()) return 0;
  code = size == 1 ? first : first & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  return surrogate || overlong || code > 0x10ffff ? 0 : size;
}

bool hidden(std::uint32_t c) {
  return (c >= 0x80 && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

bool plain(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
         std::string_view("._:/@+-").find(c) != std::string_view::npos;
}

// Not within a character.
std::string_view cut(std::string_view text, std::size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xc0) == 0x80) --max;
  return text.substr(0, max);
}

}  // namespace

void append_printable(fmt::memory_buffer& out, std::string_view text, bool quotes) {
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t size = utf8_at(text, code);
    if (size == 0) {
      fmt::format_to(fmt::appender(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (quotes && (code == '"' || code == '\\')) {
      put(out, code == '"' ? "\\\"" : "\\\\");
    } else if (code == '\n' || code == '\r' || code == '\t') {
      put(out, code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
    } else if (code < 0x20 || code == 0x7f) {
      fmt::format_to(fmt::appender(out), "\\x{:02x}", code);
    } else if (hidden(code)) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", code);
    } else {
      put(out, text.substr(0, size));
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

void append(fmt::memory_buffer& out, LogText t) {
  const std::string_view shown = cut(t.text, kLogTextMax);
  append_printable(out, shown, true);
  if (shown.size() != t.text.size()) put(out, kMore);
}

void append(fmt::memory_buffer& out, LogName n) {
  const std::string_view shown = cut(n.text, n.max);
  fmt::memory_buffer escaped;
  append_printable(escaped, shown, true);
  const std::string_view text(escaped.data(), escaped.size());
  const bool bare = !shown.empty() && std::all_of(text.begin(), text.end(), plain);
  if (!bare) put(out, "\"");
  put(out, text);
  if (shown.size() != n.text.size()) put(out, kMore);
  if (!bare) put(out, "\"");
}

}  // namespace berth::base

template <class T>
fmt::format_context::iterator berth_log_formatter<T>::format(T value,
                                                             fmt::format_context& c) const {
  fmt::memory_buffer text;
  berth::base::append(text, value);
  return std::copy(text.begin(), text.end(), c.out());
}
template struct berth_log_formatter<berth::base::LogText>;
template struct berth_log_formatter<berth::base::LogName>;
