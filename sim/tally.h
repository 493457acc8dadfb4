// What was said, what was heard, how long it took: the simulator's own books, by which it says
// whether the gateway kept its promises. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace berth::sim {

using Clock = std::chrono::steady_clock;

// Milliseconds, of the last 100,000.
class Latency {
 public:
  void add(Clock::duration d);
  double at(double quantile) const;  // 0: none yet
  std::uint64_t count() const { return count_; }

 private:
  std::vector<float> ms_;
  std::uint64_t count_ = 0;
};

struct Tally {
  // An event by its id; `said_at` of the first time.
  void said(const std::string& id) { events_.try_emplace(id, Event{Clock::now(), false, false}); }
  void acked(const std::string& id);
  // False: nobody has said it.
  bool heard(const std::string& id);
  std::uint64_t missing() const;  // acknowledged and not heard
  // Forgets what is settled, now and then.
  void prune();

  std::uint64_t events = 0;  // said, without repetitions
  std::uint64_t telemetry = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t delivered = 0;  // heard by the platform, once each
  std::uint64_t doubled = 0;
  std::uint64_t unknown = 0;  // heard, never said
  std::uint64_t refused = 0;
  std::uint64_t commands = 0;  // of the platform
  std::uint64_t executed = 0;
  std::uint64_t opened_locally = 0;                      // no command came in time
  std::uint64_t arrived = 0, left = 0, turned_away = 0;  // vehicles
  Latency to_platform;                                   // from the event to the platform
  Latency to_open;                                       // from the plate to the barrier

 private:
  struct Event {
    Clock::time_point said_at;
    bool acked = false;
    bool heard = false;
  };
  std::unordered_map<std::string, Event> events_;
};

}  // namespace berth::sim
