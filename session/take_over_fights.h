// Finds sessions that two clients take from one another again and again: the same client id in two
// devices. A table of fixed size, by the hash of the session's name: of two sessions in one place
// the one that was taken last is remembered. Owned by the Broker; one shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace berth::session {

class TakeOverFights {
 public:
  static constexpr std::uint32_t kTakeOvers = 5;  // within a minute of one another
  static constexpr std::int64_t kCalm_ms = 60'000;

  // A session has been taken over. True: by this it is a fight, the fifth time and each fifth
  // after.
  bool taken(std::uint64_t session_hash, base::Instant now) {
    Place& p = places_[session_hash % kPlaces];
    if (p.hash != session_hash || now.ms - p.last_ms > kCalm_ms) p = {session_hash, 0, 0};
    p.last_ms = now.ms;
    return ++p.times % kTakeOvers == 0;
  }

 private:
  static constexpr std::size_t kPlaces = 512;
  struct Place {
    std::uint64_t hash = 0;
    std::int64_t last_ms = 0;
    std::uint32_t times = 0;
  };
  std::array<Place, kPlaces> places_{};
};

}  // namespace berth::session
