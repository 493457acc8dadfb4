// What becomes of a request to the collector, and when it is sent again. Plain functions; any
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::gateway::tracing {

// Of one request.
struct HttpAnswer {
  unsigned status = 0;      // 0: none came
  std::string error;        // why none came
  std::string retry_after;  // the header
  std::string body;
};

enum class Verdict : std::uint8_t { taken, again, refused };

// As OTLP says: 429, 502, 503 and 504 are tried again, and so is a request without an answer; any
// other refusal would be repeated for ever.
inline Verdict verdict_of(const HttpAnswer& a) {
  if (a.status >= 200 && a.status < 300) return Verdict::taken;
  const bool again =
      a.status == 0 || a.status == 429 || a.status == 502 || a.status == 503 || a.status == 504;
  return again ? Verdict::again : Verdict::refused;
}

inline constexpr std::chrono::milliseconds kPauseFirst{500};
inline constexpr std::chrono::milliseconds kPauseMax{30'000};
inline constexpr std::chrono::milliseconds kRetryAfterMax{60'000};

// After the nth failure in a row, n from 1: doubled each time, and of that a random half to the
// whole, so that gateways do not come all at once. `random`: any number. The collector's
// Retry-After, in seconds, counts where it is longer, up to a minute; as a date it is not read.
std::chrono::milliseconds pause_after(unsigned n, std::string_view retry_after,
                                      std::uint64_t random);

}  // namespace berth::gateway::tracing
