// The fate of wills.
#include <gtest/gtest.h>

#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;

TEST(Will, IsPublishedUnlessTheDeviceSaidGoodbye) {  // 3.1.2-8, -10
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "w", 0));
  w.packets(s);
  const ConnectOptions device{.client_id = "d", .will_topic = "w", .will_payload = "gone"};
  w.close(w.open_connected(device), CloseReason::keepalive_timeout);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"gone"});
  const int d = w.open_connected(device);
  w.feed(d, disconnect());
  EXPECT_TRUE(w.ended(d));
  EXPECT_TRUE(payloads(w.packets(s)).empty());
}

TEST(Will, DelayIsCancelledByAReconnect) {  // 3.1.3-9
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "w", 0));
  w.packets(s);
  const ConnectOptions device{.client_id = "d",
                              .clean = false,
                              .properties = expiry(100),
                              .will_topic = "w",
                              .will_payload = "gone",
                              .will_properties = from_hex("18 00 00 00 05")};
  w.close(w.open_connected(device));
  w.advance_s(2);
  const int d = w.open_connected(device);
  w.advance_s(10);
  EXPECT_TRUE(payloads(w.packets(s)).empty());
  w.close(d);
  w.advance_s(6);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"gone"});
}

// A will whose publication ends engines is no connection's: it is named by its intent, and passed
// over by an engine that was told so before it had begun.
TEST(Will, I12_OneThatKillsEnginesIsNamedAndLeftOut) {
  for (const bool skipped : {false, true}) {
    World w;
    const int s = w.open_connected({.client_id = "s"});
    w.feed(s, subscribe(1, "w", 0));
    w.packets(s);
    const int d = w.open_connected({.client_id = "d", .will_topic = "w", .will_payload = "gone"});
    w.hold_commits(true);
    w.close(d);
    if (skipped) {
      w.before_serving([&] {
        w.broker().skip_forwarded({protocol::link::ForwardedWork::kWillSource, 1});
      });
    }
    w.crash_when_committed();
    w.hold_commits(false);
    EXPECT_TRUE(w.crashed());
    EXPECT_EQ(payloads(w.packets(s)), skipped ? Strings{} : Strings{"gone"});
    EXPECT_EQ(w.probe().wills_skipped, skipped ? 1u : 0u);
    w.crash();
    EXPECT_TRUE(payloads(w.packets(s)).empty()) << "the intent is gone";
  }
}

TEST(Will, I6_OurOwnRestartFiresNoneWithinTheGrace) {
  World w;
  const ConnectOptions device{.client_id = "d", .will_topic = "w", .will_payload = "gone"};
  w.open_connected(device);
  w.open_connected({.client_id = "e", .will_topic = "w", .will_payload = "e gone"});
  w.restart_all(78);
  const int s = w.open_connected({.client_id = "s"});
  w.feed(s, subscribe(1, "w", 0));
  w.packets(s);
  w.open_connected(device);  // came back
  w.advance_s(59);
  EXPECT_TRUE(payloads(w.packets(s)).empty());
  w.advance_s(2);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"e gone"}) << "who stays away is gone after all";
}

}  // namespace
}  // namespace berth::test
