// When the next engine is started after the end of one: at once, but deaths in quick succession are
// spaced by up to 1 s, and an engine that lacks something it may get is tried again after 1 to 8 s.
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
