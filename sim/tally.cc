#include "sim/tally.h"

#include <algorithm>
#include <utility>

namespace berth::sim {

namespace {
constexpr std::size_t kKept = 100'000;
constexpr auto kSettled = std::chrono::seconds(60);  // a second copy of older events is not known
}  // namespace

void Latency::add(Clock::duration d) {
  const auto ms = std::chrono::duration<float, std::milli>(d).count();
  if (ms_.size() < kKept) {
    ms_.push_back(ms);
  } else {
    ms_[count_ % kKept] = ms;
  }
  ++count_;
}

double Latency::at(double quantile) const {
  if (ms_.empty()) return 0;
  std::vector<float> sorted = ms_;
  const auto n = static_cast<std::ptrdiff_t>(quantile * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), sorted.begin() + n, sorted.end());
  return static_cast<double>(sorted[static_cast<std::size_t>(n)]);
}

void Tally::acked(const std::string& id) {
  const auto it = events_.find(id);
  if (it == events_.end() || std::exchange(it->second.acked, true)) return;
  ++acknowledged;
}

bool Tally::heard(const std::string& id) {
  const auto it = events_.find(id);
  if (it == events_.end()) {
    ++unknown;
    return false;
  }
  if (std::exchange(it->second.heard, true)) {
    ++doubled;
    return true;
  }
  ++delivered;
  to_platform.add(Clock::now() - it->second.said_at);
  return true;
}

std::uint64_t Tally::missing() const {
  return static_cast<std::uint64_t>(
      std::count_if(events_.begin(), events_.end(),
                    [](const auto& e) { return e.second.acked && !e.second.heard; }));
}

void Tally::prune() {
  const auto before = Clock::now() - kSettled;
  std::erase_if(events_, [&](const auto& e) {
    return e.second.acked && e.second.heard && e.second.said_at < before;
  });
}

}  // namespace berth::sim
