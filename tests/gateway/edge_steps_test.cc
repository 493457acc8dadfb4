// I4 at the edge's end of a link, with socket pairs in the places of a device and an engine: what a
// former engine says, or what is malformed, changes nothing.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/edge_box.h"

namespace berth::gateway::edge {
namespace {

using namespace protocol::link;

struct EdgeSteps : ::testing::Test, test::EdgeBox {
  EdgeSteps() {
    each_round = [this] { to_device += device.hear(); };
    edge.admit_local(device.near, 0);
    device.say(std::string("\x10\x00", 2));  // a packet: the edge looks at its length only
    EXPECT_TRUE(run_until([&] { return inputs == 1; }));
  }
  test::SocketPair device;
  std::string to_device;
};

TEST_F(EdgeSteps, OfAnOldEpochOrAnotherOffsetChangeNothing) {
  ASSERT_EQ(attached.attach_epoch, 1u);
  say_turn({step(1, 0, "a")});
  Step stale = step(0, 1, "old epoch");  // all that a step can do
  stale.has_in_ack = true;
  stale.in_ack = 2;
  stale.has_close = true;
  stale.reason = CloseReason::policy;
  stale.cookies.emplace_back(CookieSlot::identity, "not ours");
  say_turn({stale, step(1, 0, "said before"), step(1, 2, "too far")});
  say_turn({step(1, 1, "b")});
  ASSERT_TRUE(run_until([&] { return to_device.size() >= 2; }));
  EXPECT_EQ(to_device, "ab");
  EXPECT_EQ(probe.steps, 2u);
  EXPECT_EQ(probe.steps_stale, 3u);
  EXPECT_EQ(closes, 0);
  // The input is not acknowledged: the next engine gets it, with an epoch of its own, and what the
  // one before says from now on is refused.
  edge.engine_gone();
  edge.engine_ready();
  ASSERT_TRUE(run_until([&] { return inputs == 2; }));
  EXPECT_EQ(attached.attach_epoch, 2u);
  EXPECT_EQ(attached.in_ack, 0u);
  EXPECT_EQ(attached.out_off, 2u);
  EXPECT_EQ(attached.cookie[0], "");
  EXPECT_EQ(input_at, 0u);
  say_turn({step(1, 2, "too late")});
  say_turn({step(2, 2, "c")});
  ASSERT_TRUE(run_until([&] { return to_device.size() >= 3; }));
  EXPECT_EQ(to_device, "abc");
  EXPECT_EQ(probe.steps_stale, 4u);
}

TEST_F(EdgeSteps, OfAMalformedTurnAreNotApplied) {
  say_turn({step(1, 0, "a")}, "?");
  ASSERT_TRUE(run_until([&] { return lost; }));
  EXPECT_EQ(to_device, "");
  EXPECT_EQ(probe.steps, 0u);
}

}  // namespace
}  // namespace berth::gateway::edge
