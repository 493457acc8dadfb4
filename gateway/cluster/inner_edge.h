// The edge inside an engine process. It carries questions of REST to the engines that serve, and
// with several partitions the bridges (bridges.h) to those that serve the others. It has links to
// all engines, as every edge, and so knows how many partitions each holds. On the engine's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "gateway/cluster/engine_finder.h"
#include "gateway/cluster/engine_set.h"
#include "gateway/config/config.h"
#include "gateway/edge/edge_shard.h"

namespace berth::gateway::cluster {

class InnerEdge {
 public:
  InnerEdge(boost::asio::io_context& io, const Config& config, const link::TlsContext* tls);
  ~InnerEdge();
  edge::EdgeShard& shard() { return shard_; }

  struct Share {
    std::uint64_t process = 0;
    std::uint64_t held = 0;
    friend bool operator==(const Share&, const Share&) = default;
  };
  std::vector<Share> shares() const;  // of the engines that could hold partitions

 private:
  metrics::EdgeProbe probe_;
  edge::EdgeShard shard_;
  std::vector<std::unique_ptr<EngineSet>> sets_;  // by partition
  EngineFinder finder_;
};

// Is `self` to give a partition away? True if all partitions are held, `self` holds most and
// another engine holds at least two fewer. Of several that hold most the first of `shares` gives.
bool must_give(const std::vector<InnerEdge::Share>& shares, std::uint64_t self,
               std::uint64_t partitions);

}  // namespace berth::gateway::cluster
