// An edge process is replaced on its host (ADR 9): what the old process and the new process say
// over a HandoverStream, while all shards stand still. Both block; see handover.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "gateway/cluster/handover.h"
#include "gateway/node/edge_shards.h"

namespace berth::gateway::cluster {

// How engines know a shard: the new process's shard goes on with the same id.
struct ShardOrigin {
  std::uint64_t edge_id = 0;
  std::uint64_t generation = 0;  // of its newest link
};

struct GivenUp : std::runtime_error {
  GivenUp() : std::runtime_error("asked to end before everything was taken over") {}
};

// -- the new process, before its listeners are bound and its shards start. Nothing: no process
// listens at `path`. take_over() calls `prove` before it asks for the connections; `prove` throws
// if this process can't serve. `linked`: the old process has a link to an engine. Throws
// std::runtime_error if the old process refuses or the handover is not complete, GivenUp if this
// process is to end before it is: then the old one keeps all.
std::optional<std::vector<ShardOrigin>> take_over(const std::string& path, EdgeShards& edges,
                                                  std::uint32_t partitions,
                                                  const std::function<void(bool linked)>& prove,
                                                  const std::function<bool()>& is_to_end);

// -- the old process. Functions with a stream throw std::runtime_error.
bool asks_for_link(const HandoverStream::Item& asked);
void say_linked(HandoverStream& to, bool linked);
bool asks_for_the_same(const HandoverStream::Item& asked, std::uint32_t shards,
                       std::uint32_t partitions);
void say_wait(HandoverStream& to);  // at least every five seconds, until give_all()
// Returns when the new process has said that it has everything. `origin`: of a shard.
void give_all(HandoverStream& to, EdgeShards& edges,
              const std::function<ShardOrigin(std::uint32_t shard)>& origin);

}  // namespace berth::gateway::cluster
