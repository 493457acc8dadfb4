// Who holds a store in a Redis, as everybody sees it: what a standby looks at before it takes the
// store over (redis_store.h). Blocking, on the one thread that uses the RedisConnection; each
// function connects if need be. All throw RedisError.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/redis_connection.h"

namespace berth::session {

// Who holds a store, and whether the holder has asked its successors to get ready.
struct RedisEdge {
  std::uint64_t id = 0;
  std::string name;  // for people, as the edge says
};
struct RedisLease {
  std::string holder;            // owner#number; empty: nobody
  std::uint64_t number = 0;      // of the last holder
  std::string warm;              // name of the warming, empty: none
  std::uint64_t warmed = 0;      // successors that have read everything
  std::uint64_t reach = 0;       // edge shards that the holder is linked to, as it says; 0: unknown
  std::vector<RedisEdge> edges;  // these, as a holder said last, within kEdgesKnown_ms
};
// What the prefix of a store's keys is at this address: in a cluster all of them have one hash tag,
// so that they are in one slot and a batch stays one script.
std::string key_prefix(const RedisAddress& address, const std::string& prefix);
RedisLease read_lease(RedisConnection& redis, const std::string& prefix);  // throws RedisError
// How long a holder's list of its edges outlives it: a successor is of use when they are linked to
// it too.
inline constexpr std::uint32_t kEdgesKnown_ms = 600'000;
void tell_edges(RedisConnection& redis, const std::string& prefix,
                const std::vector<RedisEdge>& edges);
void tell_reach(RedisConnection& redis, const std::string& prefix, std::size_t edges);
// The holder begins a warming: a planned move then costs what changes meanwhile, not all sessions.
void begin_warming(RedisConnection& redis, const std::string& prefix, const std::string& name);
// All engines of a gateway must divide its sessions into the same number of partitions: the first
// says how many, under `prefix` of the whole gateway. Returns what holds. Throws RedisError.
std::uint64_t agree_on_partitions(RedisConnection& redis, const std::string& prefix,
                                  std::uint64_t partitions);

}  // namespace berth::session
