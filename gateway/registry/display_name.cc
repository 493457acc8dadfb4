#include "gateway/registry/display_name.h"

#include <cstdint>

#include "base/charset.h"

namespace berth::gateway::registry {
namespace {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Cc of Unicode, the ends of a line, and what turns the direction of the text that follows: in a
// list or a log such a name would hide or move others.
bool is_control(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

// REQUIRES: UTF-8.
std::uint32_t take_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  std::uint32_t c = size == 1 ? first : first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) c = c << 6 | (static_cast<unsigned char>(text[i]) & 0x3fU);
  text.remove_prefix(size);
  return c;
}

}  // namespace

std::string fault_of_display_name(std::string_view text) {
  if (!base::is_utf8(text)) return "display_name is not UTF-8";
  std::size_t count = 0;
  while (!text.empty()) {
    if (is_control(take_character(text))) return "display_name has a control character";
    if (++count > kDisplayNameMax) return "display_name has more than 64 characters";
  }
  return {};
}

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool contains_folded(std::string_view text, std::string_view wanted) {
  if (wanted.empty()) return true;
  for (std::size_t at = 0; at + wanted.size() <= text.size(); ++at) {
    std::size_t i = 0;
    while (i < wanted.size() && lower(text[at + i]) == wanted[i]) ++i;
    if (i == wanted.size()) return true;
  }
  return false;
}

}  // namespace berth::gateway::registry
