#include "gateway/tracing/retry.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace berth::gateway::tracing {

std::chrono::milliseconds pause_after(unsigned n, std::string_view retry_after,
                                      std::uint64_t random) {
  using std::chrono::milliseconds;
  const unsigned doublings = std::min(n == 0 ? 0u : n - 1, 10u);
  const milliseconds whole = std::min(kPauseFirst * (1u << doublings), kPauseMax);
  const milliseconds pause =
      whole / 2 + milliseconds(random % static_cast<std::uint64_t>(whole.count() / 2 + 1));
  std::uint32_t seconds = 0;
  const auto [end, ec] =
      std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  if (ec != std::errc() || end != retry_after.data() + retry_after.size()) return pause;
  const auto asked = std::min(milliseconds(std::uint64_t{seconds} * 1000), kRetryAfterMax);
  return std::max(pause, asked);
}

}  // namespace berth::gateway::tracing
