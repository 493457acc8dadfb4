// What the Broker may do in one turn of its shell before it lets heartbeats, commits and other
// connections come in between (I13). Owned by the Broker; one shard.
//
// The budget counts steps of about 0.1 us. Work for a connection gets a share of the turn. When the
// share is spent the work stops where it is and goes on in a later turn, behind the waiting work of
// others. The last piece of work may overdraw the budget: other limits bound a single PUBLISH,
// SUBSCRIBE or walk.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace berth::session {

class TurnBudget {
 public:
  static constexpr std::int64_t kTurn = 40'000;   // 4 ms
  static constexpr std::int64_t kShare = 10'000;  // of one connection
  // What things cost.
  static constexpr std::int64_t kPacket = 5;        // read from a connection
  static constexpr std::int64_t kDelivery = 2;      // sent or staged, and its bytes
  static constexpr std::int64_t kFilter = 20;       // subscribed or unsubscribed
  static constexpr std::int64_t kLook = 3;          // a retained entry looked at
  static constexpr std::int64_t kSeek = 10;         // a place in the retained messages looked up
  static constexpr std::int64_t kSession = 50;      // ended, or written
  static constexpr std::size_t kMembersAStep = 16;  // of a shared subscription, looked at
  static constexpr std::size_t kBytesAStep = 1024;

  void begin_turn(std::int64_t steps = kTurn) {
    left_ = steps;
    share_end_ = 0;
  }
  // Work for the next connection begins. False: nothing is left in this turn.
  bool begin_share() {
    share_end_ = std::max<std::int64_t>(left_ - kShare, 0);
    return left_ > 0;
  }
  void take(std::int64_t steps) { left_ -= steps; }
  void take_bytes(std::size_t n) { take(static_cast<std::int64_t>(n / kBytesAStep)); }
  // A group of `n` members was gone through.
  void take_group(std::size_t n) { take(1 + static_cast<std::int64_t>(n / kMembersAStep)); }
  // A copy of `n` bytes was sent or staged.
  void take_delivery(std::size_t n) {
    take(kDelivery + static_cast<std::int64_t>(n / kBytesAStep));
  }
  bool share_spent() const { return left_ <= share_end_; }
  bool spent() const { return left_ <= 0; }

 private:
  std::int64_t left_ = kTurn;   // in this turn
  std::int64_t share_end_ = 0;  // left of the turn when the share is spent
};

}  // namespace berth::session
