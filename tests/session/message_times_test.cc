// What messages wait.
#include <gtest/gtest.h>

#include "session/message_times.h"

namespace berth::session {
namespace {

TEST(MessageTimes, AcknowledgementsAreCountedFromTheirPublishToTheEndOfTheTurn) {
  metrics::EngineProbe probe;
  MessageTimes t(probe);
  t.now_is(1'000'000);
  const MessageTimes::Ticks came = t.now();
  t.now_is(1'050'000);
  t.acknowledged(came);
  t.acknowledged(came);
  t.acknowledged(t.now());
  EXPECT_TRUE(t.any_acknowledged());
  t.turn_ended(1'050'064);
  EXPECT_FALSE(t.any_acknowledged());
  EXPECT_EQ(probe.acknowledgement.counts[metrics::Histogram::bucket_of(50'064)], 2u);
  EXPECT_EQ(probe.acknowledgement.counts[metrics::Histogram::bucket_of(64)], 1u);
}

TEST(MessageTimes, GoOnWhereTheTicksBeginAnew) {
  metrics::EngineProbe probe;
  MessageTimes t(probe);
  t.now_is((std::uint64_t{1} << 36) - 16);  // 32 bits of ticks of 16 us
  const MessageTimes::Ticks queued = t.now();
  t.now_is((std::uint64_t{1} << 36) + 984);
  t.sent(queued);
  EXPECT_EQ(probe.queue_wait.counts[metrics::Histogram::bucket_of(1000)], 1u);
}

TEST(MessageTimes, GroupsOfOneTurnHaveABound) {
  metrics::EngineProbe probe;
  MessageTimes t(probe);
  for (MessageTimes::Ticks came = 0; came < 5000; ++came) t.acknowledged(came);
  t.turn_ended(0);
  std::uint64_t all = 0;
  for (const std::uint64_t n : probe.acknowledgement.counts) all += n;
  EXPECT_EQ(all, 5000u);
}

}  // namespace
}  // namespace berth::session
