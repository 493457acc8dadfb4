// How many commands a second a service may ask for and a device may get: token buckets of two
// seconds, by name. One shard, one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/string_map.h"

namespace berth::platform {

class Rates {
 public:
  static constexpr std::size_t kMax = 100'000;  // names; above, all begin anew

  // One more for `name`; `per_s` 0: without limit. False: not now.
  bool take(const std::string& name, std::uint32_t per_s, base::Instant now) {
    if (per_s == 0) return true;
    if (buckets_.size() >= kMax && !buckets_.contains(name)) buckets_.clear();
    Bucket& b = buckets_.try_emplace(name, Bucket{kRoomUs, now}).first->second;
    const std::int64_t passed_ms = std::clamp<std::int64_t>(now.ms - b.at.ms, 0, kRoomUs / 1000);
    b.left_us = std::min(b.left_us + 1000 * passed_ms, kRoomUs);
    b.at = now;
    const std::int64_t cost_us = std::max<std::int64_t>(1'000'000 / std::int64_t{per_s}, 1);
    if (b.left_us < cost_us) return false;
    b.left_us -= cost_us;
    return true;
  }
  // Now and then: forgets who has asked for nothing for a while.
  void sweep(base::Instant now) {
    erase_if(buckets_, [now](const auto& b) { return b.second.at.plus_s(10) < now; });
  }
  std::size_t size() const { return buckets_.size(); }

 private:
  static constexpr std::int64_t kRoomUs = 2'000'000;
  struct Bucket {
    std::int64_t left_us = 0;  // of the time that commands cost
    base::Instant at;
  };
  base::StringMap<Bucket> buckets_;
};

}  // namespace berth::platform
