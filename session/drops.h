// From whose queues messages were dropped lately, for those who ask who reads too slowly. A table
// of fixed size: of sessions that find all places of their set taken, nothing is known until it is
// emptied. Owned by TenantUsage; one shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/ids.h"

namespace berth::session {

class Drops {
 public:
  void count(base::SessionId session) {
    Place* const set = &places_[session.value % kSets * kWays];
    for (std::size_t i = 0; i < kWays; ++i) {
      if (set[i].times != 0 && set[i].session != session.value) continue;
      set[i].session = session.value;
      ++set[i].times;
      any_ = true;
      return;
    }
  }
  // Calls f(session, times) for each, and empties the table.
  template <class F>
  void take(F&& f) {
    if (!any_) return;
    any_ = false;
    for (Place& p : places_) {
      if (p.times != 0) f(base::SessionId{p.session}, p.times);
      p = {};
    }
  }

 private:
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kSets = 64;
  struct Place {
    std::uint64_t session = 0;
    std::uint32_t times = 0;
  };
  std::array<Place, kSets * kWays> places_{};
  bool any_ = false;
};

}  // namespace berth::session
