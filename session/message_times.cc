#include "session/message_times.h"

#include <utility>

namespace berth::session {

void MessageTimes::begin_group(Ticks came) {
  if (groups_.size() == kGroupsMax) count_groups();
  if (times_ != 0) groups_.push_back({came_, std::exchange(times_, 0)});
  came_ = came;
}

void MessageTimes::turn_ended(std::uint64_t us) {
  now_is(us);
  count_groups();
  if (times_ != 0) probe_.acknowledgement.observe_us(since(came_), std::exchange(times_, 0));
}

void MessageTimes::count_groups() {
  for (const Group& g : groups_) probe_.acknowledgement.observe_us(since(g.came), g.times);
  groups_.clear();
}

}  // namespace berth::session
