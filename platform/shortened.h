// Texts of others, cut to a size. Plain function; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace berth::platform {

// At most so many bytes, and no part of a character of UTF-8.
inline std::string_view shortened(std::string_view text, std::size_t most) {
  std::size_t size = std::min(text.size(), most);
  const auto inside = [&] { return (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80; };
  while (size != 0 && size < text.size() && inside()) --size;
  return text.substr(0, size);
}

}  // namespace berth::platform
