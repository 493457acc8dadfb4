// How long messages wait in the Broker, without a clock of its own: the shell says once or twice a
// turn what time it is, and what happens in between happens then. Time is kept in ticks of 16 us,
// 32 bits of them: a wait of more than 19 h is taken for a shorter one. Owned by the Broker; one
// shard. Per message: a comparison and an addition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "metrics/probe.h"

namespace berth::session {

class MessageTimes {
 public:
  using Ticks = std::uint32_t;
  explicit MessageTimes(metrics::EngineProbe& probe) : probe_(probe) {}

  // Any clock that goes steadily, in us.
  void now_is(std::uint64_t us) { now_ = static_cast<Ticks>(us >> kTickBits); }
  Ticks now() const { return now_; }

  // The PUBLISH that came then has its PUBACK or PUBREC, which leaves at the end of this turn.
  void acknowledged(Ticks came) {
    if (came != came_) [[unlikely]]
      begin_group(came);
    ++times_;
  }
  bool any_acknowledged() const { return times_ != 0 || !groups_.empty(); }
  void turn_ended(std::uint64_t us);
  // A message is sent that had to wait in its session's queue since then.
  void sent(Ticks queued) { probe_.queue_wait.observe_us(since(queued)); }

 private:
  static constexpr unsigned kTickBits = 4;
  static constexpr std::size_t kGroupsMax = 1024;  // more in one turn are counted before its end
  struct Group {
    Ticks came;
    std::uint32_t times;
  };
  std::uint64_t since(Ticks t) const {
    return std::uint64_t{static_cast<Ticks>(now_ - t)} << kTickBits;
  }
  void begin_group(Ticks came);
  void count_groups();
  metrics::EngineProbe& probe_;
  Ticks now_ = 0;
  Ticks came_ = 0;  // of the group that is being counted
  std::uint32_t times_ = 0;
  std::vector<Group> groups_;  // those before it
};

}  // namespace berth::session
