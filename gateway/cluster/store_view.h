// The state of a partition's store and of the lease on it, as the LeaseWatch saw it last. No I/O.
// Held by value by the PartitionServer, on its thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/cluster/edge_roster.h"
#include "gateway/cluster/lease_watch.h"

namespace berth::gateway::cluster {

class StoreView {
 public:
  // `warming`: the one that this engine has begun; empty: none.
  void see(const LeaseWatch::View& v, const std::string& warming);
  bool seen() const { return seen_; }  // there was a first look, with or without an answer
  bool reachable() const { return reachable_; }
  // How many edge shards are linked to the holder, as it has told; 0: unknown.
  std::uint64_t reach() const { return reach_; }
  std::size_t edges_missing(const EdgeRoster& here) const;
  std::string text_of_missing(const EdgeRoster& here) const;  // "edge a/0, edge b/1 and 3 more"
  // A successor has read everything for our warming.
  bool warmed() const { return warmed_ != 0; }
  // True: each call in the last `ns` saw the lease without a holder. REQUIRES: called periodically.
  bool free_for(std::int64_t now_ns, std::int64_t ns);

 private:
  std::uint64_t reach_ = 0;
  std::vector<session::RedisEdge> edges_;
  std::uint64_t warmed_ = 0;
  std::int64_t free_since_ns_ = 0;  // monotonic; 0: it is not, or was not at the last call
  bool seen_ = false;
  bool reachable_ = false;
  bool free_ = false;
};

}  // namespace berth::gateway::cluster
