// Durations in fixed buckets of plain integers: hot code bumps two of them, nothing is allocated,
// locked or looked up. Bucket i counts what took at most 32 us * 2^i, the last one what took longer
// than 16.8 s; the buckets are not cumulative (they are made so when they are exported). One thread
// at a time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace berth::metrics {

struct Histogram {
  static constexpr unsigned kFirstBits = 5;  // 32 us
  static constexpr std::size_t kBuckets = 21;
  std::array<std::uint64_t, kBuckets> counts{};
  std::uint64_t sum_us = 0;

  static constexpr std::size_t bucket_of(std::uint64_t us) {
    const auto bits = static_cast<unsigned>(std::bit_width(us - (us != 0)));
    const unsigned i = bits <= kFirstBits ? 0 : bits - kFirstBits;
    return i < kBuckets ? i : kBuckets - 1;
  }
  // Greatest duration of a bucket but the last, us.
  static constexpr std::uint64_t bound_us(std::size_t bucket) {
    return std::uint64_t{1} << (kFirstBits + bucket);
  }
  void observe_us(std::uint64_t us, std::uint64_t times = 1) {
    counts[bucket_of(us)] += times;
    sum_us += us * times;
  }
  void observe_ns(std::int64_t ns) {
    observe_us(ns <= 0 ? 0 : static_cast<std::uint64_t>(ns) / 1000);
  }
  Histogram& operator+=(const Histogram& o) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts[i] += o.counts[i];
    sum_us += o.sum_us;
    return *this;
  }
};

}  // namespace berth::metrics
