// Text of devices and tables that do not speak UTF-8: GBK and GB 18030, as vendors of LED boards
// and Excel in China write them. By iconv(3) of glibc. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth::base {

enum class Charset : std::uint8_t { utf8, gbk, gb18030 };

// "gbk", "gb18030"; nothing: another name.
std::optional<Charset> charset_named(std::string_view name);
// Strictly (RFC 3629): no overlong forms, no surrogates. U+0000 is a character.
bool is_utf8(std::string_view bytes);

// Nothing: `text` is not UTF-8, has a character that the charset lacks (GBK: an emoji), or the
// system has no table of this charset. No character is replaced or left out.
std::optional<std::string> from_utf8(Charset to, std::string_view text);
// Nothing: `bytes` are not text of this charset.
std::optional<std::string> to_utf8(Charset from, std::string_view bytes);

}  // namespace berth::base
