// What engines that came and went meant for the connections of this process: each replacement or
// death as one entry, of all shards together (docs/console.md, "Deploys"). Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "gateway/edge/probation.h"

namespace berth::gateway::edge {

class Passages {
 public:
  static constexpr std::size_t kKept = 200;

  struct Passage {
    std::int64_t at_ms = 0;  // Unix time, when the next engine had the connections
    std::uint32_t partition = 0;
    EngineEnd how{};
    std::uint64_t gap_ms = 0;   // the longest of the shards
    std::uint64_t held = 0;     // connections that the next engine got
    std::uint64_t dropped = 0;  // that the gateway ended meanwhile
  };
  // Shards of one process tell the same event one after the other.
  void tell(const Passage& p);
  std::vector<Passage> list() const;  // the newest first

 private:
  mutable std::mutex mutex_;
  std::deque<Passage> all_;
};

}  // namespace berth::gateway::edge
