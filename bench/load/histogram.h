// Latencies in nanoseconds, three significant digits up to an hour, laid out as in HdrHistogram:
// two of them are added slot by slot, and hdr_log.h writes them for HdrHistogram's tools. One
// process records, others may read meanwhile (it lies in memory that they share).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace berth::bench {

constexpr double to_ms(std::int64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

class Histogram {
 public:
  static constexpr std::int64_t kMax_ns = 3'600'000'000'000;
  static constexpr int kDigits = 3;
  static constexpr std::size_t kSlots = 33 * 1024;

  Histogram() = default;
  Histogram(const Histogram& other) { *this = other; }
  Histogram& operator=(const Histogram& other);

  void record(std::int64_t ns);  // below 0: 0; above kMax_ns: kMax_ns
  void add(const Histogram& other);
  void subtract(const Histogram& earlier);  // an earlier state of the same one

  std::uint64_t count() const;
  // The greatest value that at most `percent` of all are not above; 0 of none.
  std::int64_t percentile(double percent) const;
  std::int64_t max() const { return percentile(100); }
  double mean() const;
  std::uint64_t at(std::size_t slot) const { return slots_[slot].load(std::memory_order_relaxed); }

  static std::size_t slot_of(std::int64_t ns);
  static std::int64_t lowest_of(std::size_t slot);
  static std::int64_t highest_of(std::size_t slot);

 private:
  void put(std::size_t slot, std::uint64_t n) { slots_[slot].store(n, std::memory_order_relaxed); }

  std::array<std::atomic<std::uint64_t>, kSlots> slots_{};
};

}  // namespace berth::bench
