// The state of sites in one partition, at a glance: how many devices are there and why others are
// not, and of barriers, chargers and alarms what was reported last (docs/console.md). Owned by
// DeviceWatch, which tells it of presence; reports and commands come in when they happen, answers
// are taken at any time. One shard, one thread.
//
// A report that changes a state is stored, in the batch of what comes next: so what is known of an
// arm outlives the engine. One that says the same again is noted in memory only.
//
// Limits: kTwinsMax devices that report such states; more are not noted, and counted. Of one
// kPartsMax barriers, chargers and alarms each: of alarms the least severe goes, of others the
// oldest. kBodyMax bytes of a report.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/board.pb.h"
#include "platform/causes.h"
#include "platform/records.h"

namespace berth::platform {

// A state that a device has reported, as read from its Envelope.
struct StateReport {
  std::string type;  // barrier, charger, alarm
  std::string part;
  std::uint32_t state = 0;
  std::string body;    // JSON
  bool ended = false;  // an alarm that is over
};

class Board {
 public:
  static constexpr std::size_t kTwinsMax = 200'000;
  static constexpr std::size_t kSitesMax = 65'535;  // devices of others are not counted
  static constexpr int kPartsMax = 32;
  static constexpr std::size_t kBodyMax = 1024;
  static constexpr std::size_t kAnswerBytes = 400 * 1024;
  using Place = std::uint32_t;  // of a site; 0: none

  explicit Board(Records& records) : records_(records) {}
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);  // it comes again, or has gone

  // -- presence
  Place place_of(std::string_view tenant, std::string_view site);
  const std::string& site_at(Place p) const { return sites_[p].site; }
  // `n`: 1 or -1 devices that are online, or offline by `cause`.
  void count(Place p, bool online, Cause cause, int n);

  // `n`: 1 or -1 devices that are counted as online and have no connection (Presence).
  void count_leaving(Place p, int n);

  // -- what happens; `wall_ms`: Unix time
  void reported(std::string_view tenant, std::string_view site, std::string_view device,
                const StateReport& r, std::int64_t wall_ms);
  // An immediate command of this device: `state` as the API names it. `final`: its outcome.
  void commanded(std::string_view tenant, std::string_view site, std::string_view device,
                 const pb::TwinCommand& c, bool final);
  // This command, if no newer one has been told, has `state` now: a late result, or closed by a
  // person.
  void settled(std::string_view tenant, std::string_view device, std::string_view id,
               std::string_view state);
  void removed(std::string_view tenant, std::string_view device);
  // Sites or their names have changed: everybody is told everything again.
  void touch_all() { floor_ = ++version_; }

  // -- answers
  struct Site {
    std::string tenant, site;
    std::uint32_t online = 0;
    std::uint32_t leaving = 0;  // of these
    std::array<std::uint32_t, kCauses> offline{};
    std::int64_t reported_ms = 0;
    std::uint64_t version = 0;
    std::map<std::string, pb::TwinRecord, std::less<>> twins;
  };
  std::uint64_t version() const { return version_; }
  // Has everything to be told to one that has heard of `since`?
  bool is_whole(std::uint64_t since) const { return since < floor_ || since > version_; }
  const Site* find(std::string_view tenant, std::string_view site) const;
  // Those that have changed since, by the order of their changes.
  std::vector<const Site*> changed(std::uint64_t since) const;
  const pb::TwinRecord* twin(std::string_view tenant, std::string_view device) const;
  static void fill(const Site& s, pb::BoardAnswer::Site& out);
  std::uint64_t left_out() const { return left_out_; }

 private:
  pb::TwinRecord* twin_of(std::string_view tenant, std::string_view site, std::string_view device);
  void touch(Site& s) { s.version = ++version_; }
  void put(std::string_view tenant, std::string_view device, const pb::TwinRecord& t);
  static bool make_room(pb::TwinRecord& t, const StateReport& r);

  Records& records_;
  std::vector<Site> sites_{1};                          // by Place
  std::map<std::string, Place, std::less<>> places_;    // tenant NUL site
  std::map<std::string, Place, std::less<>> standing_;  // of twins: tenant NUL device
  std::uint64_t version_ = 1;
  std::uint64_t floor_ = 1;
  std::uint64_t left_out_ = 0;
};

}  // namespace berth::platform
