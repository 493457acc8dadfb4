// Who makes trouble, and why, in one partition: whose connections end again and again, whose
// log-ins are refused, who reads too slowly, who sends most, which client ids two devices share;
// also the last ends of each client's connections. Always on, for whoever asks later. Owned by
// DeviceWatch. Counts of the last hour, in tables of TopList::kPlaces names, in memory: a new
// engine begins anew. Nothing is done for a message: what connections and accounts count is looked
// at some connections a second. One shard, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/causes.h"
#include "platform/command.h"
#include "platform/last_ends.h"
#include "platform/top_list.h"
#include "platform/traffic.h"
#include "session/core.h"
#include "session/session.h"

namespace berth::platform {

// Numbers are on the link: append only.
enum class InsightList : std::uint8_t {
  flapping = 1,
  refused = 2,
  slow = 3,
  traffic = 4,
  shared_ids = 5,
  ends = 6,        // the last ends of connections, the newest first: not of the last hour only
  connections = 7  // where most are
};

class Insights {
 public:
  static constexpr std::uint64_t kFlaps = 3;      // ends of connections in an hour
  static constexpr std::uint64_t kTakeOvers = 3;  // the same
  static constexpr std::size_t kListed = 500;

  // `core` outlives it.
  explicit Insights(session::Core& core) : core_(core), traffic_(core) {}
  Insights(const Insights&) = delete;
  Insights& operator=(const Insights&) = delete;

  void begin(At at) { since_ms_ = at.wall_ms; }
  // A connection of this session ends, which it still has.
  void ended(const session::Session& s, Cause cause, protocol::link::CloseReason why, At at);
  void refused(const session::Channel& ch, std::string_view reason, std::string_view device_key,
               std::string_view site, At at);
  void tick(At at);  // about once a second
  // InsightsQuestion, InsightsAnswer.
  std::string answer(std::string_view question, At at) const;

 private:
  void say_ends(const pb::InsightsQuestion& q, std::vector<pb::Insight>& all) const;
  void reads_slowly(base::SessionId id, std::uint32_t dropped, At at);

  session::Core& core_;
  TopList flapping_;
  TopList refused_;
  TopList slow_;
  TopList shared_;
  LastEnds ends_;
  Traffic traffic_;
  std::int64_t since_ms_ = 0;
};

// Whose session it is, as a place of a list says it; with its connection, if it has one.
TopList::Place place_of(const session::Session& s);
// Is what happened there asked for?
bool is_asked_for(const pb::InsightsQuestion& q, std::string_view tenant, std::string_view site);
// To whom it happened, without counts.
pb::Insight insight_of(const TopList::Place& p);

}  // namespace berth::platform
