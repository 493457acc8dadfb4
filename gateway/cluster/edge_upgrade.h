// An edge is replaced on its host (ADR 9): what the process that is and the one that comes say over
// a HandoverStream, with all shards standing still. Both block; see handover.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateway/cluster/handover.h"
#include "gateway/node/edge_shards.h"

namespace berth::gateway::cluster {

// By what a shard is known to engines: its successor goes on as the same.
struct ShardOrigin {
  std::uint64_t edge_id = 0;
  std::uint64_t generation = 0;  // of its newest link
};

// -- the one that comes, before its listeners are bound and its shards start. Nothing: nobody
// listens at `path`. `prove` is called before the connections are asked for, and throws if this
// process can't serve; `linked`: the other has a link to an engine. Throws std::runtime_error when
// it is refused or not whole.
std::optional<std::vector<ShardOrigin>> take_over(const std::string& path, EdgeShards& edges,
                                                  std::uint32_t partitions,
                                                  const std::function<void(bool linked)>& prove);

// -- the one that is. Those with a stream throw std::runtime_error.
bool asks_for_link(const HandoverStream::Item& asked);
void say_linked(HandoverStream& to, bool linked);
bool asks_for_the_same(const HandoverStream::Item& asked, std::uint32_t shards,
                       std::uint32_t partitions);
void say_wait(HandoverStream& to);  // at least every five seconds, until give_all()
// Returns when the other has said that it has everything. `origin`: of a shard.
void give_all(HandoverStream& to, EdgeShards& edges,
              const std::function<ShardOrigin(std::uint32_t shard)>& origin);

}  // namespace berth::gateway::cluster
