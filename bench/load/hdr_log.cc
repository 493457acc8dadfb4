#include "bench/load/hdr_log.h"

#include <libdeflate.h>
#include <openssl/evp.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <stdexcept>

namespace berth::bench {

namespace {

constexpr std::uint32_t kCookie = 0x1c849313;            // V2, words of variable length
constexpr std::uint32_t kCompressedCookie = 0x1c849314;  // the same within zlib

void put(std::string& out, std::uint64_t v, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(v >> shift));
}

// LEB128 of at most nine bytes, the ninth with all of its eight bits.
void put_count(std::string& out, std::int64_t v) {
  std::uint64_t z = (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
  for (int i = 0; i < 8 && z >= 0x80; ++i, z >>= 7) out.push_back(static_cast<char>(z | 0x80));
  out.push_back(static_cast<char>(z));
}

std::string counts_of(const Histogram& h) {
  std::size_t end = Histogram::kSlots;
  while (end > 0 && h.at(end - 1) == 0) --end;
  std::string out;
  std::int64_t empty = 0;
  for (std::size_t i = 0; i < end; ++i) {
    if (h.at(i) == 0) {
      ++empty;
      continue;
    }
    if (empty != 0) put_count(out, -empty);
    empty = 0;
    put_count(out, static_cast<std::int64_t>(h.at(i)));
  }
  return out;
}

std::string compressed(const std::string& bytes) {
  libdeflate_compressor* const c = libdeflate_alloc_compressor(6);
  if (c == nullptr) throw std::bad_alloc();
  std::string out(libdeflate_zlib_compress_bound(c, bytes.size()), '\0');
  out.resize(libdeflate_zlib_compress(c, bytes.data(), bytes.size(), out.data(), out.size()));
  libdeflate_free_compressor(c);
  return out;
}

std::string base64(const std::string& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace

std::string encode(const Histogram& h) {
  const std::string counts = counts_of(h);
  std::string plain;
  put(plain, kCookie, 4);
  put(plain, counts.size(), 4);
  put(plain, 0, 4);  // offset of the first slot
  put(plain, Histogram::kDigits, 4);
  put(plain, 1, 8);
  put(plain, static_cast<std::uint64_t>(Histogram::kMax_ns), 8);
  put(plain, std::bit_cast<std::uint64_t>(1.0), 8);
  plain += counts;
  const std::string body = compressed(plain);
  std::string out;
  put(out, kCompressedCookie, 4);
  put(out, body.size(), 4);
  return base64(out + body);
}

HdrLog::HdrLog(const std::string& path) : out_(path) {
  if (!out_) throw std::runtime_error("can't write " + path);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  char start[64];
  std::snprintf(start, sizeof start, "%.3f", now);
  out_
      << "#[berth bench; values in nanoseconds]\n#[Histogram log format version 1.3]\n#[StartTime: "
      << start << " (seconds since epoch)]\n#[BaseTime: " << start
      << " (seconds since epoch)]\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
         "\"Interval_Compressed_Histogram\"\n";
}

void HdrLog::interval(const std::string& tag, double start_s, double length_s, const Histogram& h) {
  char head[96];
  std::snprintf(head, sizeof head, ",%.3f,%.3f,%.3f,", start_s, length_s,
                static_cast<double>(h.max()) / 1e6);
  out_ << "Tag=" << tag << head << encode(h) << '\n' << std::flush;
}

}  // namespace berth::bench
