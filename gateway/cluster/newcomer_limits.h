// Which links may wait for their hello at an engine: who is silent, or many, keeps no edge out. No
// I/O, no clock; owned by Newcomers, on its thread. Addresses are counted by site: an IPv4 address,
// an IPv6 network of 64 bits.
//
// All together kMax, of a site from which no edge has been linked yet kPerSite, and of such a site
// a bucket of kBurst new ones that fills with kPerSecond. One that comes where there is no room
// takes the place of the oldest of the site that has most, unknown sites first; where that would
// not be fair, of the oldest that has waited for kGrace; else it is refused and comes again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/address.h"

namespace berth::gateway::cluster {

class NewcomerLimits {
 public:
  static constexpr std::size_t kMax = 512;
  static constexpr std::size_t kPerSite = 256;
  static constexpr double kBurst = 256;
  static constexpr double kPerSecond = 32;
  static constexpr std::int64_t kGrace_ns = 250'000'000;
  static constexpr std::size_t kKnownMax = 1024;    // sites; the oldest is forgotten
  static constexpr std::size_t kTrackedMax = 4096;  // buckets; more sites have none

  using Id = std::uint64_t;
  struct Verdict {
    bool admitted = false;
    std::optional<Id> evicted;  // has to go for it; has left here already
  };
  Verdict enter(Id id, const base::Address& from, std::int64_t now_ns);
  void leave(Id id);                        // nothing if it is not there
  void know(const base::Address& address);  // an edge has been linked from there
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Id id;
    base::Address site;
    std::int64_t since_ns;
    bool known;
  };
  struct Bucket {
    double tokens = kBurst;
    std::int64_t filled_ns = 0;
  };
  bool knows(const base::Address& site) const;
  bool take_token(const base::Address& site, std::int64_t now_ns);
  std::size_t count(const base::Address& site) const;
  template <class Match>
  const Waiting* oldest(Match&& match) const;
  const Waiting* place_for(const base::Address& site, bool known, std::int64_t now_ns) const;

  std::vector<Waiting> waiting_;      // by age
  std::vector<base::Address> known_;  // sites, oldest first
  std::unordered_map<base::Address, Bucket, base::AddressHash> buckets_;
};

}  // namespace berth::gateway::cluster
