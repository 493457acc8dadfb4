// The last events of devices in one partition, in memory, for streams of events that ask for what
// has happened since (EventsQuestion). An event has a place, its time and number, as in the
// history. No event gets a place before one that an answer has said to be complete: so who asks all
// partitions can put what they say in order. This holds also for the next engine, whose clock may
// be behind: what answers may have said is stored (record()). Owned by DeviceWatch. One shard, one
// thread.
//
// Bounds: kKept events, about 400 bytes each; who asks for older ones is told of a gap.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace berth::platform {

namespace pb {
class HistoryEvent;
}  // namespace pb

class RecentEvents {
 public:
  static constexpr std::size_t kKept = 4096;
  static constexpr std::size_t kListed = 500;

  using Place = std::pair<std::int64_t, std::uint64_t>;  // Unix time in ms, number

  RecentEvents();
  ~RecentEvents();
  RecentEvents(const RecentEvents&) = delete;
  RecentEvents& operator=(const RecentEvents&) = delete;

  static bool is_key(std::string_view key);  // of the live record of ours
  void restored(std::string_view record);    // before begin()
  // What is to be stored, durable before the last answer leaves; empty: nothing new. At most one
  // record in kAhead_ms of time.
  std::string record();
  static constexpr std::string_view kKey = "!he";
  static constexpr std::int64_t kAhead_ms = 100;

  void begin(std::int64_t wall_ms) { known_from_ = {time_for(wall_ms), 0}; }
  // The time of an event that happens now.
  std::int64_t time_for(std::int64_t wall_ms) const {
    return wall_ms > least_ms_ ? wall_ms : least_ms_;
  }
  // REQUIRES: e.at_ms() is what time_for() has said.
  void add(std::string_view tenant, pb::HistoryEvent&& e);
  std::string answer(std::string_view question, std::int64_t wall_ms);
  std::uint64_t gaps() const { return gaps_; }

 private:
  struct Kept;  // events in the order of their places
  std::unique_ptr<Kept> kept_;
  Place known_from_{};          // of what was before it, something is missing
  std::int64_t least_ms_ = 0;   // the time of the next event, at least
  std::int64_t said_ms_ = 0;    // the latest time that an answer has said to be complete
  std::int64_t stored_ms_ = 0;  // at least that, for the next engine
  std::uint64_t gaps_ = 0;
};

}  // namespace berth::platform
