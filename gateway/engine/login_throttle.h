// Brute force is slowed, by address and by user name: a failed log-in takes from a bucket of each;
// where one is empty nobody is asked any more until a failure has been forgiven. Whoever has logged
// in from that address before is let through: a camera with a wrong password does not lock out the
// other devices of its site, nor a guesser elsewhere the device whose name it guesses.
//
// Of one engine, on its thread. At most kTracked of each are known at a time; what does not fit is
// not slowed by name, and by address like everybody.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/clock.h"
#include "base/string_map.h"
#include "gateway/engine/login_options.h"

namespace berth::gateway::engine {

class LoginThrottle {
 public:
  static constexpr std::size_t kTracked = 100'000;
  using Options = LoginThrottleOptions;
  explicit LoginThrottle(Options o) : options_(o) {}
  // True: answered by one of the others. By name each try counts until it has succeeded (tries at
  // the same time are tries), by address failures do (a site's devices come back together).
  bool may_try(const base::Address& from, std::string_view name, base::Instant now);
  void failed(const base::Address& from, std::string_view name, base::Instant now);
  void succeeded(const base::Address& from, std::string_view name);

 private:
  struct Bucket {
    double failures = 0;
    std::int64_t at_ms = 0;
  };
  double left(const Bucket& b, base::Instant now) const;  // of its failures
  bool full(const Bucket& b, std::uint32_t most, base::Instant now) const;
  void take(Bucket& b, base::Instant now);
  template <class Map>
  bool make_room(Map& m, base::Instant now);

  Options options_;
  boost::unordered_flat_map<base::Address, Bucket, base::AddressHash> addresses_;
  base::StringMap<Bucket> names_;
  boost::unordered_flat_set<std::uint64_t> known_;  // hashes of name and address
  std::deque<std::uint64_t> known_order_;
};

}  // namespace berth::gateway::engine
