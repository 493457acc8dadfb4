// The edges of one partition in an engine: their link numbers, which edges nominate us, which are
// out of reach and since when. Held by value by the PartitionEdges, on their thread. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/link/records.h"

namespace berth::gateway::cluster {

class EdgeRoster {
 public:
  struct Entry {
    bool used = false;
    bool linked = false;
    bool internal = false;  // an engine's own edge: has no vote and is not counted
    bool admitted = false;  // the engine knows it
    bool attached = false;  // it has said attached_all
    std::uint64_t edge_id = 0;
    std::uint64_t generation = 0;
    std::string name;
    protocol::link::Alive alive;
    std::uint32_t admits_per_s = 0;  // devices of other edges that it could let in now
    std::int64_t heard_ns = 0;
    std::int64_t lost_ns = 0;
    std::int64_t nominated_ns = 0;  // since when, 0: it does not
  };
  // The link number of this edge; the same as before if the edge had one. Nothing: there are too
  // many edges.
  std::optional<std::uint32_t> number_for(std::uint64_t edge_id);
  Entry& operator[](std::uint32_t number) { return entries_[number]; }
  const Entry& operator[](std::uint32_t number) const { return entries_[number]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(entries_.size()); }
  std::size_t linked() const;
  bool is_linked(std::uint64_t edge_id) const;
  std::size_t out_of_reach() const;
  void alive(std::uint32_t number, const protocol::link::Alive& a, std::int64_t now_ns);

  // Are we to take the store? `lost_term`: from which holder, the newest that the nominating edges
  // know. True at once if more than half of the linked edges nominate us; later for a minority, if
  // we are linked to more edges than the holder (`reach`). Devices do not notice such a move.
  bool elected(std::int64_t now_ns, std::uint64_t reach, std::uint64_t& lost_term) const;

 private:
  std::vector<Entry> entries_;  // by link number
};

}  // namespace berth::gateway::cluster
