// Times of requests and answers: RFC 3339 in UTC, or milliseconds since 1970. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace berth::gateway::rest {

// "2026-11-29T10:00:05.250Z".
std::string text_of_time(std::int64_t ms);
// "2026-11-29T10:00:05Z", with or without a fraction, "+08:00" instead of the Z; or "1764410405250".
std::optional<std::int64_t> time_of_text(const std::string& text);

}  // namespace berth::gateway::rest
