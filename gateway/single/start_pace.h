// How long to wait after the end of an engine before the next one starts: not at all, but up to 1 s
// after deaths in quick succession, and 1 to 8 s after an engine that lacked something it may get
// later. Held by value by the Supervisor, on its thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace berth::gateway {

class StartPace {
 public:
  enum class End : std::uint8_t {
    ordinary,  // it was asked to end, or has lived for a while
    quick,     // a death soon after its start
    lacking    // it could not begin
  };
  std::chrono::milliseconds after(End end) {
    quick_deaths_ = end == End::quick ? quick_deaths_ + 1 : 0;
    waits_ = end == End::lacking ? waits_ + 1 : 0;
    if (end == End::lacking)
      return std::chrono::milliseconds(std::min(kWaitMax_ms, 500 << std::min(waits_, 4)));
    if (quick_deaths_ <= kQuickFree) return {};
    return std::chrono::milliseconds(
        std::min(kQuickMax_ms, 50 << std::min(quick_deaths_ - kQuickFree - 1, 5)));
  }

 private:
  static constexpr int kWaitMax_ms = 8000;
  static constexpr int kQuickMax_ms = 1000;
  static constexpr int kQuickFree = 3;
  int quick_deaths_ = 0;  // in a row
  int waits_ = 0;         // in a row, for what an engine lacks
};

}  // namespace berth::gateway
