#include "bench/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace berth::bench {

namespace {
// Values below 2048 have a slot each; above, each doubling has 1024.
constexpr int kHalfBits = 10;
constexpr std::uint64_t kHalf = 1u << kHalfBits;
}  // namespace

std::size_t Histogram::slot_of(std::int64_t ns) {
  const auto v = static_cast<std::uint64_t>(std::clamp<std::int64_t>(ns, 0, kMax_ns));
  const int bucket = std::bit_width(v | (2 * kHalf - 1)) - (kHalfBits + 1);
  return static_cast<std::size_t>(((static_cast<std::uint64_t>(bucket) + 1) << kHalfBits) +
                                  (v >> bucket) - kHalf);
}

std::int64_t Histogram::lowest_of(std::size_t slot) {
  if (slot < 2 * kHalf) return static_cast<std::int64_t>(slot);
  const std::size_t bucket = (slot >> kHalfBits) - 1;
  return static_cast<std::int64_t>(((slot & (kHalf - 1)) + kHalf) << bucket);
}

std::int64_t Histogram::highest_of(std::size_t slot) {
  const std::size_t bucket = slot < 2 * kHalf ? 0 : (slot >> kHalfBits) - 1;
  return lowest_of(slot) + (std::int64_t{1} << bucket) - 1;
}

Histogram& Histogram::operator=(const Histogram& other) {
  for (std::size_t i = 0; i < kSlots; ++i) put(i, other.at(i));
  return *this;
}

void Histogram::record(std::int64_t ns) {
  const std::size_t slot = slot_of(ns);
  put(slot, at(slot) + 1);
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < kSlots; ++i) put(i, at(i) + other.at(i));
}

void Histogram::subtract(const Histogram& earlier) {
  for (std::size_t i = 0; i < kSlots; ++i) put(i, at(i) - std::min(at(i), earlier.at(i)));
}

std::uint64_t Histogram::count() const {
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < kSlots; ++i) n += at(i);
  return n;
}

std::int64_t Histogram::percentile(double percent) const {
  const std::uint64_t all = count();
  if (all == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(
             std::ceil(std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(all))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kSlots; ++i) {
    seen += at(i);
    if (seen >= wanted) return highest_of(i);
  }
  return kMax_ns;  // counted while another process recorded
}

double Histogram::mean() const {
  double sum = 0;
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < kSlots; ++i) {
    const std::uint64_t here = at(i);
    n += here;
    sum += static_cast<double>(here) *
           (static_cast<double>(lowest_of(i)) + static_cast<double>(highest_of(i))) / 2;
  }
  return n == 0 ? 0 : sum / static_cast<double>(n);
}

}  // namespace berth::bench
