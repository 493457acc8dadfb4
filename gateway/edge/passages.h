// What engines that came and went meant for the connections of this process: each replacement or
// death as one entry, of all shards together, until it is told to an engine, which stores it
// (gateway/node/passage_teller.h). Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "gateway/edge/engines.h"

namespace berth::gateway::edge {

class Passages {
 public:
  static constexpr std::size_t kWaiting = 200;  // then the oldest goes
  // Shards of one process tell the same event one after the other.
  static constexpr std::int64_t kSameWithin_ns = 2'000'000'000;

  enum class What : std::uint8_t {
    engine,     // another engine follows
    link,       // the same one is back
    edge,       // this process got its connections from another edge
    edge_drain  // this process ends its connections
  };
  struct Passage {
    std::int64_t ended_ns = 0;  // monotonic, when the next engine had the connections
    std::uint32_t partition = 0;
    What what{};
    EngineEnd how{};  // of an engine
    EngineName of = {};
    std::uint64_t gap_ms = 0;   // the longest of the shards
    std::uint64_t held = 0;     // connections that the next engine got
    std::uint64_t dropped = 0;  // that the gateway ended meanwhile
    // Of each shard: milliseconds, connections.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps = {};
  };
  void tell(Passage p);
  // Those of which no shard has more to say.
  std::vector<Passage> take(std::int64_t now_ns);

 private:
  std::mutex mutex_;
  std::deque<Passage> waiting_;  // the oldest first
};

}  // namespace berth::gateway::edge
