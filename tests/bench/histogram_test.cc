#include "bench/load/histogram.h"

#include <gtest/gtest.h>
#include <libdeflate.h>
#include <openssl/evp.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "bench/load/hdr_log.h"

namespace berth::bench {
namespace {

TEST(Histogram, EverySlotBeginsWhereTheOneBeforeEnds) {
  for (std::size_t i = 0; i + 1 < Histogram::kSlots; ++i) {
    ASSERT_EQ(Histogram::highest_of(i) + 1, Histogram::lowest_of(i + 1)) << i;
    if (Histogram::lowest_of(i) > Histogram::kMax_ns) break;
    ASSERT_EQ(Histogram::slot_of(Histogram::lowest_of(i)), i);
  }
}

TEST(Histogram, AValueIsKeptToThreeDigits) {
  for (const std::int64_t ns : {1L, 2047L, 2049L, 123'456L, 99'999'999L, 3'599'000'000'000L}) {
    auto h = std::make_unique<Histogram>();
    h->record(ns);
    EXPECT_GE(h->percentile(50), ns);
    EXPECT_LE(static_cast<double>(h->percentile(50) - ns), static_cast<double>(ns) / 1000);
  }
}

TEST(Histogram, PercentilesAreOfAllThatWasRecorded) {
  auto h = std::make_unique<Histogram>();
  for (int i = 1; i <= 1000; ++i) h->record(i);
  EXPECT_EQ(h->percentile(50), 500);
  EXPECT_EQ(h->percentile(99), 990);
  EXPECT_EQ(h->max(), 1000);
  EXPECT_EQ(h->percentile(0), 1);
  EXPECT_NEAR(h->mean(), 500.5, 0.01);
}

TEST(Histogram, OutOfBoundsIsTheBound) {
  auto h = std::make_unique<Histogram>();
  h->record(-5);
  h->record(INT64_MAX);
  EXPECT_EQ(h->count(), 2u);
  EXPECT_EQ(h->percentile(1), 0);
  EXPECT_GE(h->max(), Histogram::kMax_ns);
}

TEST(Histogram, AddedOnesAreAsIfRecordedInOne) {
  auto a = std::make_unique<Histogram>(), b = std::make_unique<Histogram>();
  auto all = std::make_unique<Histogram>();
  for (int i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? a : b)->record(i * i);
    all->record(i * i);
  }
  auto before = std::make_unique<Histogram>(*a);
  a->add(*b);
  for (std::size_t i = 0; i < Histogram::kSlots; ++i) ASSERT_EQ(a->at(i), all->at(i));
  a->subtract(*before);
  for (std::size_t i = 0; i < Histogram::kSlots; ++i) ASSERT_EQ(a->at(i), b->at(i));
}

std::string base64_decoded(const std::string& text) {
  std::string out(text.size(), '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

// As HdrHistogram's libraries for Java and JavaScript write it (V2): 10 twice, 2049 once.
TEST(HdrLog, TheEncodingIsHdrHistograms) {
  auto h = std::make_unique<Histogram>();
  h->record(10);
  h->record(10);
  h->record(2049);
  const std::string outer = base64_decoded(encode(*h));
  EXPECT_EQ(outer.substr(0, 4), std::string("\x1c\x84\x93\x14"));
  std::string plain(1000, '\0');
  libdeflate_decompressor* const d = libdeflate_alloc_decompressor();
  std::size_t size = 0;
  ASSERT_EQ(libdeflate_zlib_decompress(d, outer.data() + 8, outer.size() - 8, plain.data(),
                                       plain.size(), &size),
            LIBDEFLATE_SUCCESS);
  libdeflate_free_decompressor(d);
  // Ten empty slots, 2, 2037 empty ones, 1; numbers are doubled, negative ones less one.
  const std::string counts("\x13\x04\xe9\x1f\x02", 5);
  std::string expected("\x1c\x84\x93\x13\0\0\0\x05\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x01", 24);
  base::put_key64(expected, static_cast<std::uint64_t>(Histogram::kMax_ns));
  expected += std::string("\x3f\xf0\0\0\0\0\0\0", 8) + counts;
  EXPECT_EQ(plain.substr(0, size), expected);
}

}  // namespace
}  // namespace berth::bench
