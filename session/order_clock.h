// A logical clock that orders changes of subscriptions against messages that await their commit. A
// session that subscribed after a PUBLISH was staged gets it once, not from its queue and directly;
// one publisher's messages keep their order (MQTT 5.0 4.6). One shard, one thread.
#pragma once

#include <cstdint>

namespace berth::session {

class OrderClock {
 public:
  // The moment of a change; greater than all before it.
  std::uint64_t next() { return ++now_; }
  std::uint64_t now() const { return now_; }

 private:
  std::uint64_t now_ = 0;
};

}  // namespace berth::session
