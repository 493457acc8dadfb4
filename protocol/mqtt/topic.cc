#include "protocol/mqtt/topic.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace berth::protocol::mqtt {
namespace {

// Length of the multi-byte sequence at p, or 0 when it is not well formed.
std::size_t sequence_length(const std::uint8_t* p, std::size_t left) {
  const std::uint8_t c = p[0];
  const auto cont = [p](std::size_t i) { return (p[i] & 0xc0) == 0x80; };
  if (c >= 0xc2 && c <= 0xdf) return left >= 2 && cont(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if (left < 3 || !cont(1) || !cont(2)) return 0;
    if (c == 0xe0 && p[1] < 0xa0) return 0;    // overlong
    return c == 0xed && p[1] >= 0xa0 ? 0 : 3;  // surrogates
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if (left < 4 || !cont(1) || !cont(2) || !cont(3)) return 0;
    if (c == 0xf0 && p[1] < 0x90) return 0;
    return c == 0xf4 && p[1] >= 0x90 ? 0 : 4;
  }
  return 0;
}

bool levels_in_bounds(std::string_view s) {
  if (s.size() < kTopicLevelsMax) return true;
  return static_cast<std::size_t>(std::count(s.begin(), s.end(), '/')) < kTopicLevelsMax;
}

}  // namespace

bool valid_utf8(std::string_view s) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(s.data());
  for (std::size_t i = 0; i < s.size();) {
    while (s.size() - i >= 8) {  // eight ASCII bytes at once, none of them zero
      std::uint64_t w;
      std::memcpy(&w, p + i, 8);
      const std::uint64_t zero = (w - 0x0101010101010101ULL) & ~w;
      if (((w | zero) & 0x8080808080808080ULL) != 0) break;
      i += 8;
    }
    if (i == s.size()) return true;
    if (p[i] == 0) return false;
    if (p[i] < 0x80) {
      ++i;
      continue;
    }
    const std::size_t n = sequence_length(p + i, s.size() - i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}

bool valid_topic_name(std::string_view topic) {
  return !topic.empty() && topic.size() <= 65535 &&
         std::memchr(topic.data(), '#', topic.size()) == nullptr &&
         std::memchr(topic.data(), '+', topic.size()) == nullptr && valid_utf8(topic) &&
         levels_in_bounds(topic);
}

bool valid_topic_filter(std::string_view filter) {
  if (filter.empty() || filter.size() > 65535 || !valid_utf8(filter) || !levels_in_bounds(filter))
    return false;
  Levels levels(filter);
  std::string_view level;
  bool multi = false;
  while (levels.next(level)) {
    if (multi) return false;  // '#' not last
    if (level == "#") {
      multi = true;
    } else if (level.size() > 1 && level.find_first_of("#+") != std::string_view::npos) {
      return false;
    }
  }
  return true;
}

bool filter_matches(std::string_view filter, std::string_view topic) {
  if (!topic.empty() && topic.front() == '$' && (filter.front() == '+' || filter.front() == '#')) {
    return false;
  }
  Levels f(filter);
  Levels t(topic);
  std::string_view fl;
  std::string_view tl;
  for (;;) {
    const bool more_filter = f.next(fl);
    if (more_filter && fl == "#") return true;
    const bool more_topic = t.next(tl);
    if (!more_filter || !more_topic) {
      if (more_filter || more_topic) return false;
      return true;
    }
    if (fl != "+" && fl != tl) return false;
  }
}

bool filter_covers(std::string_view rule, std::string_view wanted) {
  Levels r(rule);
  Levels w(wanted);
  std::string_view rl;
  std::string_view wl;
  for (;;) {
    const bool more_rule = r.next(rl);
    if (more_rule && rl == "#") return true;
    const bool more_wanted = w.next(wl);
    if (!more_rule || !more_wanted) return more_rule == more_wanted;
    if (wl == "#" || (wl == "+" && rl != "+")) return false;
    if (rl != "+" && rl != wl) return false;
  }
}

bool filters_overlap(std::string_view a, std::string_view b) {
  Levels x(a);
  Levels y(b);
  std::string_view xl;
  std::string_view yl;
  for (;;) {
    const bool more_x = x.next(xl);
    const bool more_y = y.next(yl);
    if ((more_x && xl == "#") || (more_y && yl == "#")) return true;
    if (!more_x || !more_y) return more_x == more_y;
    if (xl != "+" && yl != "+" && xl != yl) return false;
  }
}

ParsedFilter parse_filter(std::string_view raw) {
  ParsedFilter out{.filter = raw};
  constexpr std::string_view kShare = "$share/";
  if (!raw.starts_with(kShare)) {
    out.valid = valid_topic_filter(raw);
    return out;
  }
  const std::string_view rest = raw.substr(kShare.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0) return out;
  out.shared = true;
  out.group = rest.substr(0, slash);
  out.filter = rest.substr(slash + 1);
  out.valid = out.group.find_first_of("#+") == std::string_view::npos && valid_utf8(out.group) &&
              valid_topic_filter(out.filter);  // 4.8.2-1, -2
  return out;
}

}  // namespace berth::protocol::mqtt
