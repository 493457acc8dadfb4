#include "gateway/rest/times.h"

#include <charconv>
#include <cstdio>
#include <ctime>

namespace berth::gateway::rest {

std::string text_of_time(std::int64_t ms) {
  const std::time_t s = static_cast<std::time_t>(ms / 1000);
  std::tm t{};
  ::gmtime_r(&s, &t);
  char day[24] = "";
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &t);
  char out[40] = "";
  std::snprintf(out, sizeof out, "%s.%03dZ", day, static_cast<int>(ms % 1000));
  return out;
}

std::optional<std::int64_t> time_of_text(const std::string& text) {
  std::int64_t ms = 0;
  const char* const end = text.data() + text.size();
  if (const auto r = std::from_chars(text.data(), end, ms); r.ec == std::errc() && r.ptr == end)
    return ms < 0 ? std::nullopt : std::optional(ms);
  std::tm t{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &t);
  if (rest == nullptr) return std::nullopt;
  ms = static_cast<std::int64_t>(::timegm(&t)) * 1000;
  if (*rest == '.') {
    int digits = 0;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, ++digits) {
      static constexpr int kWorth[] = {100, 10, 1};
      if (digits < 3) ms += (*rest - '0') * kWorth[digits];
    }
    if (digits == 0) return std::nullopt;
  }
  if (*rest == 'Z' && rest[1] == '\0') return ms;
  int hours = 0;
  int minutes = 0;
  char sign = 0;
  int used = 0;
  if (std::sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) != 3 || rest[used] != '\0')
    return std::nullopt;
  if ((sign != '+' && sign != '-') || hours > 23 || minutes > 59) return std::nullopt;
  const std::int64_t offset_ms = (hours * 60 + minutes) * std::int64_t{60'000};
  return sign == '+' ? ms - offset_ms : ms + offset_ms;
}

}  // namespace berth::gateway::rest
