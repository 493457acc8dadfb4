// When connections of devices ended in the last days, and what the devices had in common: their
// site, firmware or range of addresses (docs/console.md). Counts for each five minutes, in the
// store too. Owned by DeviceWatch. One shard, one thread.
//
// Limits: kBuckets times, of each kSitesMax sites, and of a site kNamesMax firmwares and ranges;
// what has no room is counted. The newest time is stored once in kStoreEvery_ms: an engine that
// dies forgets at most so much.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "platform/causes.h"
#include "platform/departures.pb.h"
#include "platform/presence.h"
#include "platform/records.h"

namespace berth::platform {

class Departures {
 public:
  static constexpr std::int64_t kEvery_ms = 300'000;
  static constexpr std::size_t kBuckets = 72 * 12;
  static constexpr std::size_t kSitesMax = 1000;
  static constexpr std::size_t kNamesMax = 16;
  static constexpr std::int64_t kStoreEvery_ms = 10'000;

  explicit Departures(Records& records) : records_(records) {}
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);

  void ended(const Visit& v, std::string_view firmware, Cause cause, std::int64_t wall_ms);
  void removed_tenant(const std::string& tenant);
  void tick(std::int64_t wall_ms);  // about once a second
  std::string answer(std::string_view question) const;

 private:
  using Names = std::map<std::string, std::uint32_t, std::less<>>;
  struct Site {
    std::array<std::uint32_t, kCauses> causes{};
    Names firmwares, ranges;
  };
  struct Bucket {
    std::map<std::pair<std::string, std::string>, Site> sites;  // by tenant and site
    std::uint32_t left_out = 0;
  };
  static pb::DeparturesRecord record_of(std::int64_t at_ms, const Bucket& b);
  void store(std::int64_t at_ms);

  Records& records_;
  std::map<std::int64_t, Bucket> buckets_;  // by their beginning
  std::int64_t changed_ = 0;                // the one that is not stored as it is; 0: none
  std::int64_t stored_ms_ = 0;
};

// Of an address with its port: "192.0.0.0/16", "2001:db8::/32"; empty: it is none.
std::string range_of(std::string_view address);

}  // namespace berth::platform
