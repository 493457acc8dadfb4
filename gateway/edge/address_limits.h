// How many connections an address may have, and how many it may begin a second: for addresses that
// attack, or a site whose devices all fail. Of all shards together; any thread. IPv6 by /64.
//
// A bucket of ten seconds. At most kTracked addresses are known at a time; more are let in.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <mutex>

#include "base/address.h"
#include "gateway/edge/address_limit_options.h"

namespace berth::gateway::edge {

class AddressLimits {
 public:
  static constexpr std::size_t kTracked = 100'000;
  using Options = AddressLimitOptions;
  explicit AddressLimits(Options o) : options_(o) {}
  void use(Options o);  // for connections to come
  // A connection comes. False: it is too many.
  bool enter(const base::Address& a, std::int64_t now_ns);
  // One that had been let in, by another process perhaps.
  void enter_again(const base::Address& a);
  void leave(const base::Address& a);

 private:
  struct Entry {
    std::uint32_t open = 0;
    double tokens = 0;
    std::int64_t filled_ns = 0;
  };
  Entry* entry_of(const base::Address& a, std::int64_t now_ns);
  void forget_idle(std::int64_t now_ns);
  double depth() const { return 10.0 * options_.per_s; }

  std::mutex mutex_;
  Options options_;
  boost::unordered_flat_map<base::Address, Entry, base::AddressHash> entries_;
};

}  // namespace berth::gateway::edge
