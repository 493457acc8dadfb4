// Runs a fuzz target over its seeds (hex lines of tests/fuzz/seeds/NAME.hex) and over mutations of
// them, without libFuzzer: the form for every test run. Usage: NAME_seeds FILE [mutations each]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>

#include "tests/support/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  if (argc < 2) return 64;
  const int mutations = argc > 2 ? std::atoi(argv[2]) : 2000;
  std::ifstream in(argv[1]);
  std::mt19937 random(1);
  int seeds = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::string seed = berth::test::from_hex(line);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(seed.data()), seed.size());
    ++seeds;
    for (int i = 0; i < mutations; ++i) {
      std::string m = seed;
      for (unsigned k = 0; k < 1 + random() % 4; ++k) {
        const std::size_t at = random() % (m.size() + 1);
        switch (random() % 3) {
          case 0:
            if (at < m.size()) m[at] = static_cast<char>(random());
            break;
          case 1:
            m.insert(at, 1, static_cast<char>(random()));
            break;
          default:
            m.resize(at);
            break;
        }
        if (m.empty()) m = seed;
      }
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(m.data()), m.size());
    }
  }
  std::printf("%d seeds, %d mutations each\n", seeds, mutations);
  return seeds == 0;
}
