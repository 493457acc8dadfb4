// How many commands of a platform may be on their way into the store. The thread that carries them
// is its library's, which can do nothing else while it waits for a place: so one wait is short, and
// while the store does not get on no other one follows.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace berth::gateway::uplink {

// Any thread, all of it.
class CommandPlaces {
 public:
  CommandPlaces(std::size_t max, std::chrono::milliseconds wait) : max_(max), wait_(wait) {}
  // Returns false if there is no place: the command is dropped.
  bool take();
  void free();
  // Who waits does so no more.
  void end();

 private:
  const std::size_t max_;
  const std::chrono::milliseconds wait_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t taken_ = 0;
  bool stalled_ = false;  // one has waited in vain, and none was freed since
  bool ended_ = false;
};

}  // namespace berth::gateway::uplink
