// The principals, or what else has a name, to which something happens most often, in a table of
// fixed size (space-saving): a name that finds no place takes that of the least one of the tenant
// that has most places, so no tenant pushes the names of another one out. Counts are of the last
// hour, in steps of five minutes; a count is never said too high. About 400 bytes a place. One
// shard, one thread.
#pragma once

#include <array>
#include <boost/unordered/unordered_map.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "platform/causes.h"
#include "platform/command.h"

namespace berth::platform {

// Of the last hour.
class HourCount {
 public:
  static constexpr std::int64_t kStep_ms = 300'000;
  static constexpr std::size_t kSteps = 12;
  // How many steps have passed since the last call.
  std::int64_t pass(base::Instant now);
  void add(std::uint32_t n) { steps_[static_cast<std::size_t>(step_) % kSteps] += n; }
  std::uint64_t sum(base::Instant now) const;

 private:
  std::array<std::uint32_t, kSteps> steps_{};
  std::int64_t step_ = 0;
};

class TopList {
 public:
  static constexpr std::size_t kPlaces = 512;

  struct Place {
    std::string tenant;
    std::string site;
    std::string name;  // of the device or account, or a user name
    bool is_account = false;
    std::string client_id;
    std::string address;
    std::string other_address;
    std::string reason;
    HourCount times;
    std::uint64_t second_count = 0;  // as the list says; since the place was taken
    std::array<std::uint32_t, kCauses> causes{};
    std::int64_t last_ms = 0;  // Unix time
    std::uint64_t session = 0;
    std::uint64_t taken_with = 0;  // the count of the one before in this place, not of this one
    std::uint64_t weight(base::Instant now) const { return times.sum(now) + taken_with; }
  };

  // It has happened to `p`, whose texts say to whom; they are taken over when it gets a place.
  // `key` names it within its tenant.
  Place& count(std::string_view key, const Place& p, At at, std::uint32_t times = 1);
  template <class F>
  void each(F&& f) const {
    for (const auto& [key, place] : places_) f(place);
  }
  std::size_t size() const { return places_.size(); }

 private:
  static void begin_again(Place& place, const Place& p);
  std::uint64_t make_room(base::Instant now);

  boost::unordered_map<std::string, Place> places_;         // by tenant, U+0000 and key
  boost::unordered_map<std::string, std::size_t> tenants_;  // places of each
};

}  // namespace berth::platform
