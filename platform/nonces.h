// Nonces of signed requests that have been good, each for kRemembered_s, in memory. Bounded in all
// and for the accounts of one tenant, so that a tenant that asks too much is refused and the others
// are not. About 40 bytes a nonce. One thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <string_view>

#include "base/siphash.h"

namespace berth::platform {

class Nonces {
 public:
  // From the first to the last second in which a timestamp is good (300 s ahead, 300 s behind), and
  // that last second, by two clocks that are rounded down.
  static constexpr std::int64_t kRemembered_s = 602;
  static constexpr std::size_t kMost = 1'000'000;
  static constexpr std::size_t kMostOfOne = 700'000;  // 1,000 requests a second and some more
  enum class Seen { fresh, again, full };

  explicit Nonces(base::SipKey key, std::size_t most = kMost, std::size_t most_of_one = kMostOfOne)
      : key_(key), most_(most), most_of_one_(most_of_one) {}
  // Remembers it if it is fresh. `account`: ACCOUNT@TENANT. `now_s`: of a clock that does not go
  // back.
  Seen take(std::string_view account, std::string_view nonce, std::int64_t now_s);
  std::size_t size() const { return seen_.size(); }

 private:
  struct Entry {
    std::uint64_t nonce;
    std::uint64_t tenant;
    std::int64_t until_s;
  };
  void forget(std::int64_t now_s);
  base::SipKey key_;
  std::size_t most_;
  std::size_t most_of_one_;
  boost::unordered_flat_set<std::uint64_t> seen_;  // by keyed hash of account and nonce
  boost::unordered_flat_map<std::uint64_t, std::size_t> by_tenant_;
  std::deque<Entry> order_;  // oldest first
};

}  // namespace berth::platform
