// The Fanouts under way (turn_work.h): few in all, and of one tenant or principal at most a quarter
// of them, so that others find a place. A connection that finds none rests, and is offered its turn
// by the shell's FairQueue, keys in turn. Owned by the Broker; one shard.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>

namespace berth::session {

class FanoutPlaces {
 public:
  static constexpr std::size_t kAll = 16;
  static constexpr std::size_t kOfOne = kAll / 4;

  bool has_place(std::uint64_t fair_key) const {
    const auto it = of_key_.find(fair_key);
    return all_ < kAll && (it == of_key_.end() || it->second < kOfOne);
  }
  // Counts a Fanout. One that no connection waits for (will, message of another partition) counts
  // even if all places are taken.
  void enter(std::uint64_t fair_key) {
    ++all_;
    ++of_key_[fair_key];
  }
  // REQUIRES: enter() with this key; once for each.
  void leave(std::uint64_t fair_key) {
    --all_;
    const auto it = of_key_.find(fair_key);
    if (--it->second == 0) of_key_.erase(it);
  }

 private:
  std::size_t all_ = 0;
  boost::unordered_flat_map<std::uint64_t, std::size_t> of_key_;
};

}  // namespace berth::session
