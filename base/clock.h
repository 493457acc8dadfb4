// Time as the core sees it. The core never reads a clock; the shell passes an Instant in.
#pragma once

#include <compare>
#include <cstdint>

namespace berth::base {

// Milliseconds since the Unix epoch, but never going backwards within a process: the wall clock is
// read once at start and advanced by the monotonic clock. Comparable across restarts as far as the
// wall clock is right, so deadlines may be stored.
struct Instant {
  std::int64_t ms{};
  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  constexpr Instant plus_ms(std::int64_t d) const { return {ms + d}; }
  constexpr Instant plus_s(std::int64_t d) const { return {ms + d * 1000}; }
};
inline constexpr Instant kNever{INT64_MAX};

Instant now();                                  // thread-safe
std::int64_t monotonic_ns();                    // thread-safe
inline constexpr std::int64_t kMs = 1'000'000;  // in what monotonic_ns() counts

}  // namespace berth::base
