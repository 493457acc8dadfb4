// SipHash-2-4 (Aumasson, Bernstein): a 64-bit hash under a secret key, so that who chooses what is
// hashed can't choose where it falls. For tables whose keys come from outside. Any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace berth::base {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

namespace siphash_detail {
struct State {
  std::uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(std::uint64_t m) {
    v3 ^= m;
    round();
    round();
    v0 ^= m;
  }
};
}  // namespace siphash_detail

inline std::uint64_t siphash(const SipKey& key, std::string_view bytes) {
  siphash_detail::State s{key.k0 ^ 0x736f6d6570736575ULL, key.k1 ^ 0x646f72616e646f6dULL,
                          key.k0 ^ 0x6c7967656e657261ULL, key.k1 ^ 0x7465646279746573ULL};
  const std::uint64_t size = bytes.size();
  const auto word = [](std::string_view b) {  // little-endian, whatever the machine
    std::uint64_t m = 0;
    for (std::size_t i = 0; i < b.size(); ++i)
      m |= std::uint64_t{static_cast<unsigned char>(b[i])} << (8 * i);
    return m;
  };
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) s.take(word(bytes.substr(0, 8)));
  s.take((size << 56) | word(bytes));
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) s.round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace berth::base
