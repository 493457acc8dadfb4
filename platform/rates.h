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
    const std::int64_t room_ms = 2000;
    Bucket& b = buckets_.try_emplace(name, Bucket{room_ms, now}).first->second;
    b.left_ms = std::min(b.left_ms + std::max<std::int64_t>(now.ms - b.at.ms, 0), room_ms);
    b.at = now;
    const std::int64_t cost_ms = 1000 / static_cast<std::int64_t>(per_s);
    if (b.left_ms < cost_ms) return false;
    b.left_ms -= cost_ms;
    return true;
  }
  // Now and then: forgets who has asked for nothing for a while.
  void sweep(base::Instant now) {
    erase_if(buckets_, [now](const auto& b) { return b.second.at.plus_s(10) < now; });
  }
  std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    std::int64_t left_ms = 0;  // of the time that commands cost
    base::Instant at;
  };
  base::StringMap<Bucket> buckets_;
};

}  // namespace berth::platform
