#include "base/clock.h"

#include <ctime>

namespace berth::base {
namespace {

std::int64_t read_ns(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() {
  return read_ns(CLOCK_MONOTONIC);
}

Instant now() {
  static const std::int64_t offset_ns = read_ns(CLOCK_REALTIME) - read_ns(CLOCK_MONOTONIC);
  return {(monotonic_ns() + offset_ns) / 1'000'000};
}

}  // namespace berth::base
