// How long messages wait in the Broker, without a clock of its own: the shell says once or twice a
// turn what time it is, and what happens in between happens then. Time is kept in ticks of 16 us,
// 32 bits of them: a wait of more than 19 h is taken for a shorter one. Owned by the Broker; one
// shard. Per message: an addition and a comparison.
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
    if (acknowledged_.empty() || acknowledged_.back().came != came) begin(came);
    ++acknowledged_.back().times;
  }
  bool any_acknowledged() const { return !acknowledged_.empty(); }
  void turn_ended(std::uint64_t us) {
    now_is(us);
    count_acknowledged();
  }
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
  void begin(Ticks came) {
    if (acknowledged_.size() == kGroupsMax) count_acknowledged();
    acknowledged_.push_back({came, 0});
  }
  void count_acknowledged() {
    for (const Group& g : acknowledged_) probe_.acknowledgement.observe_us(since(g.came), g.times);
    acknowledged_.clear();
  }
  metrics::EngineProbe& probe_;
  Ticks now_ = 0;
  std::vector<Group> acknowledged_;
};

}  // namespace berth::session
