// How many iterations the password hashes of those who are known have, so that a name nobody has
// can be refused after as long a time as a wrong password. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace berth::gateway::registry {

class HashCosts {
 public:
  void add(int iterations) {
    ++counts_[iterations];
    ++total_;
  }
  void remove(int iterations) {
    const auto it = counts_.find(iterations);
    if (it == counts_.end()) return;
    --total_;
    if (--it->second == 0) counts_.erase(it);
  }
  std::size_t total() const { return total_; }
  // One of them, as often as there are hashes of that cost; the same for the same number. REQUIRES:
  // total() != 0.
  int pick(std::uint64_t number) const {
    std::uint64_t at = number % total_;
    auto it = counts_.begin();
    while (at >= it->second) at -= (it++)->second;
    return it->first;
  }

 private:
  std::map<int, std::size_t> counts_;
  std::size_t total_ = 0;
};

}  // namespace berth::gateway::registry
