// When the messages of one publisher are due: at a constant rate, whatever became of the ones
// before. A latency counts from there, so that a server which stalls can't hide what it held up
// (coordinated omission).
#pragma once

#include <cstdint>

namespace berth::bench {

class Schedule {
 public:
  // `phase`: of a period, from 0 to 1; spreads publishers of one rate.
  Schedule(std::int64_t start_ns, double per_s, double phase)
      : start_ns_(start_ns), period_ns_(1e9 / per_s), phase_(phase) {}
  std::int64_t due_ns() const {
    return start_ns_ +
           static_cast<std::int64_t>((static_cast<double>(said_) + phase_) * period_ns_);
  }
  void said() { ++said_; }
  // How many are due until then and were not said.
  std::uint64_t behind(std::int64_t now_ns) const {
    const double whole = static_cast<double>(now_ns - start_ns_) / period_ns_ - phase_;
    const auto due = whole < 0 ? 0 : static_cast<std::uint64_t>(whole) + 1;
    return due > said_ ? due - said_ : 0;
  }

 private:
  std::int64_t start_ns_;
  double period_ns_;
  double phase_;
  std::uint64_t said_ = 0;
};

}  // namespace berth::bench
