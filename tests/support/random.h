// Random values for tests of properties, the same in each run.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace berth::test {

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t n) { return word() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::uint64_t word() { return engine_(); }
  // Of all sizes: as many small as large ones.
  std::uint64_t number() { return word() >> below(64); }
  // At most `most` bytes of any value.
  std::string bytes(std::size_t most) {
    std::string s(below(most + 1), '\0');
    for (char& c : s) c = static_cast<char>(word());
    return s;
  }
  // One byte is another one, one is gone, or one more is there. REQUIRES: not empty.
  std::string damaged(std::string s) {
    const std::size_t at = below(s.size());
    const std::uint64_t how = below(3);
    if (how == 0) s[at] = static_cast<char>(s[at] ^ (1 + below(255)));
    if (how == 1) s.erase(at, 1);
    if (how == 2) s.insert(at, 1, static_cast<char>(word()));
    return s;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace berth::test
