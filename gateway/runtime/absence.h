// For how long something that ought to serve has not: the clock runs from the last time that it
// served well, not from the last try. What serves for a moment and ends again has not served well.
// No clock of its own; monotonic nanoseconds.
#pragma once

#include <cstdint>

namespace berth::gateway::runtime {

class Absence {
 public:
  static constexpr std::int64_t kProven = 2'000'000'000;  // ns of serving that count as well
  void ended(std::int64_t now_ns) {
    if (since_ == 0 || proven(now_ns)) since_ = now_ns;
    serving_since_ = 0;
  }
  void serves(std::int64_t now_ns) { serving_since_ = now_ns; }
  // 0: it serves, or never ended. While it serves and is not proven yet the time goes on.
  std::int64_t ns(std::int64_t now_ns) const {
    return since_ == 0 || proven(now_ns) ? 0 : now_ns - since_;
  }

 private:
  bool proven(std::int64_t now_ns) const {
    return serving_since_ != 0 && now_ns - serving_since_ >= kProven;
  }
  std::int64_t since_ = 0;
  std::int64_t serving_since_ = 0;  // 0: it does not serve
};

}  // namespace berth::gateway::runtime
