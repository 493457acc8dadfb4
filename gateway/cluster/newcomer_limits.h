// Decides which links may wait at an engine for their hello: peers that are silent, or many, must
// not keep an edge out. No I/O, no clock; owned by Newcomers, on its thread. Links are counted by
// site: an IPv4 address, or an IPv6 network of 64 bits. A site is known if an edge has been linked
// from there.
//
// At most kMax links wait in all, kPerSite of an unknown site. An unknown site has a token bucket
// for new links: kBurst, filled with kPerSecond. A link that finds no room evicts the oldest link
// of the site that has most, unknown sites first; where that would not be fair it evicts the oldest
// link that has waited for kGrace; else it is refused, and the edge tries again.
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
    std::optional<Id> evicted;  // the caller closes this one; it has left here already
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
