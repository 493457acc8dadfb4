// When an engine of a cluster gives one of its partitions to an engine that has fewer: all are
// served, and nothing has moved for a while. Where a partition comes back although no engine has
// ended (on a starved host engines are taken for dead that live), the while doubles, up to kLongest
// times rebalance_ms, until one that was given away has stayed away for so long. On the engine's
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/cluster/inner_edge.h"

namespace berth::gateway::cluster {

class Balance {
 public:
  static constexpr std::uint32_t kLongest = 64;

  Balance(std::uint64_t self, std::uint32_t rebalance_ms, std::uint64_t partitions)
      : self_(self),
        rebalance_ns_(std::int64_t{rebalance_ms} * 1'000'000),
        partitions_(partitions) {}

  // How many partitions each engine holds now.
  void is(std::vector<InnerEdge::Share> shares, std::int64_t now_ns);
  // An operator moves one: wait anew.
  void moved(std::int64_t now_ns) { since_ns_ = now_ns; }
  // An operator wants partitions to stay where they are until then.
  void hold(std::int64_t until_ns) { held_until_ns_ = until_ns; }
  std::int64_t held_until_ns() const { return held_until_ns_; }
  // This one goes because due() said so.
  void gives(std::uint32_t partition, std::int64_t now_ns);
  // This engine serves the partition: the one that it gave away may be back.
  void serves(std::uint32_t partition);
  // Is this engine to give a partition away?
  bool due(std::int64_t now_ns) const;

  std::uint32_t patience() const { return patience_; }  // times rebalance_ms

 private:
  struct Gift {
    std::uint32_t partition = 0;
    std::int64_t at_ns = 0;
    std::vector<std::uint64_t> engines;  // others that lived then
    bool back = false;
  };
  void judge_gift(std::int64_t now_ns);
  bool all_live(const std::vector<std::uint64_t>& engines) const;
  std::int64_t wait_ns() const { return rebalance_ns_ * patience_; }

  const std::uint64_t self_;  // of shares
  const std::int64_t rebalance_ns_;
  const std::uint64_t partitions_;
  std::vector<InnerEdge::Share> shares_;
  std::int64_t since_ns_ = 0;
  std::int64_t held_until_ns_ = 0;
  std::uint32_t patience_ = 1;
  std::optional<Gift> gift_;  // the last one
};

}  // namespace berth::gateway::cluster
