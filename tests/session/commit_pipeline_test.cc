// What is written, and what waits until it is durable.
#include <gtest/gtest.h>

#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

TEST(Store, NothingIsAcknowledgedBeforeItsCommit) {  // I1
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  const int q = w.open_connected({.client_id = "q"});
  w.feed(q, subscribe(1, "other", 0));
  w.packets(s);
  w.packets(p);
  w.packets(q);
  w.hold_commits(true);
  w.feed(p, publish("t", "m", 1, 1));
  EXPECT_TRUE(w.packets(p).empty());
  EXPECT_TRUE(w.packets(s).empty());
  const int r = w.open_connected({.client_id = "r"});
  w.packets(r);
  w.feed(r, publish("other", "flows", 0));
  EXPECT_EQ(payloads(w.packets(q)), Strings{"flows"}) << "QoS 0 of others is not held up";
  w.hold_commits(false);
  EXPECT_EQ(only(w.packets(p), 4).id(), 1u);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"m"});
}

TEST(Store, EffectsKeepTheOrderOfInputs) {  // I3: inputs take effect in order
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int v = w.open_connected({.client_id = "v"});
  w.feed(v, subscribe(1, "#", 0));
  w.packets(v);
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("t", "1", 1, 1) + publish("u", "2", 0) + publish("t", "3", 1, 2));
  EXPECT_TRUE(payloads(w.packets(v)).empty());
  w.hold_commits(false);
  EXPECT_EQ(payloads(w.packets(v)), (Strings{"1", "2", "3"}));
}

}  // namespace
}  // namespace berth::test
