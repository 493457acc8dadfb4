// The engines of all partitions, as one edge shard knows them. Held by value in the EdgeContext, on
// the shard's thread; the EnginePorts are their owners' and outlive the shard's connections.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/edge/connection.h"
#include "gateway/edge/probation.h"
#include "gateway/link/ports.h"
#include "gateway/runtime/absence.h"

namespace berth::gateway::edge {

// Who an engine is, for people and to tell it from others.
struct EngineName {
  std::string text;
  std::uint64_t process = 0;  // random, or a pid; 0: not known
};

// The engine of one partition.
struct Served {
  link::EnginePort* engine = nullptr;
  std::int64_t gone_ns = 0;        // since when it is gone; 0: it is not
  EngineEnd how{};                 // of the one that is gone
  EngineName gone;                 // which
  bool same = false;               // it has come back: the link broke
  bool own = false;                // this process is new, and got its connections from another edge
  std::uint64_t ended_before = 0;  // Attachments::ended_by_us() then
  runtime::Absence absence;
  Probation probation;
  EngineWord word;
};

class Engines {
 public:
  explicit Engines(std::uint32_t partitions) : all_(partitions) {}

  std::size_t size() const { return all_.size(); }  // partitions
  // REQUIRES: partition < size().
  Served& operator[](std::uint32_t partition) { return all_[partition]; }
  // REQUIRES: `c` has a partition, and this partition's engine has been set.
  link::EnginePort& of(const Connection& c) { return *all_[c.partition].engine; }
  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }
  bool all_serving() const {
    return std::all_of(all_.begin(), all_.end(),
                       [](const Served& s) { return s.engine != nullptr && s.engine->serving(); });
  }
  // REQUIRES: all engines have been set.
  void turn_end() {
    for (const Served& s : all_) s.engine->turn_end();
  }

 private:
  std::vector<Served> all_;  // by partition
};

}  // namespace berth::gateway::edge
