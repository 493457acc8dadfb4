#include "gateway/config/suggest.h"

#include <algorithm>
#include <numeric>

namespace berth::gateway {

namespace {

std::size_t letters_to_change(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      corner = above;
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  if (word.size() > 64) return best;
  std::size_t least = std::min<std::size_t>(3, (word.size() - 1) / 2) + 1;
  for (const std::string& k : known) {
    const std::size_t n = letters_to_change(word, k);
    if (n >= least) continue;
    least = n;
    best = k;
  }
  return best;
}

}  // namespace berth::gateway
