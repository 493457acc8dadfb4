// The fate of wills.
#include "session/wills.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"
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

// -- the room alone

struct WithWill {
  CoreBox box;
  session::Session& s = box.session("d", 600);
  explicit WithWill(std::uint32_t delay_s = 0) {
    s.will = std::make_unique<session::Will>();
    s.will->message = session::MessagePtr(message("w", "gone", 1));
    s.will->delay_s = delay_s;
  }
  void settle(session::EndBy end) { box.core.wills.settle(s, end, box.now); }
};

TEST(Wills, ADeviceThatSaysGoodbyeTakesItsWillBack) {
  WithWill w;
  w.settle(session::EndBy::disconnect);
  EXPECT_EQ(w.s.will, nullptr);
  EXPECT_TRUE(w.box.commit().empty());
}

TEST(Wills, AWillWithoutADelayIsStoredAsAnIntentAndThenPublished) {
  WithWill w;
  session::Channel& hears = w.box.client("hears");
  w.box.core.subscriptions.add(*hears.session, "w", {0}, 0);
  w.settle(session::EndBy::device);
  EXPECT_EQ(w.s.will, nullptr);
  EXPECT_TRUE(w.box.clients.take().empty());
  const Strings wrote = w.box.commit();
  ASSERT_EQ(wrote.size(), 2u) << "the intent, and the record without it, in one batch";
  EXPECT_TRUE(wrote[0].starts_with("put_applied "));
  EXPECT_EQ(wrote[1], "put_session 1");
  EXPECT_EQ(w.box.clients.take(), Strings{"deliver w gone q0"});
  EXPECT_EQ(w.box.probe.wills_published, 1u);
  EXPECT_EQ(w.box.commit().at(0).substr(0, 15), "remove_applied ");
}

TEST(Wills, ADelayIsNoLongerThanItsSession) {  // 3.1.3.2.2
  for (const std::uint32_t delay_s : {60u, 6000u}) {
    WithWill w(delay_s);
    w.settle(session::EndBy::device);
    ASSERT_NE(w.s.will, nullptr);
    EXPECT_EQ(w.s.will->at, w.box.now.plus_s(std::min(delay_s, 600u)));
    EXPECT_FALSE(w.s.will->ours);
  }
  WithWill w(60);
  w.s.expiry_s = 0;
  w.settle(session::EndBy::device);
  EXPECT_EQ(w.s.will, nullptr) << "its session ends now";
}

TEST(Wills, AnEndThatIsOursGivesADeviceTheGraceToComeBack) {  // I6
  WithWill w(5);
  w.settle(session::EndBy::us);
  ASSERT_NE(w.s.will, nullptr);
  EXPECT_EQ(w.s.will->at, w.box.now.plus_s(60));
  EXPECT_TRUE(w.s.will->ours);
  EXPECT_EQ(w.box.probe.wills_suppressed, 1u);
  WithWill longer(600);
  longer.settle(session::EndBy::us);
  EXPECT_EQ(longer.s.will->at, longer.box.now.plus_s(600));
}

TEST(Wills, WhoHasEndedAConnectionIsKnownByItsCause) {
  CoreBox box;
  session::Channel& ch = box.client("d");
  const auto& wills = box.core.wills;
  EXPECT_EQ(wills.known_end(ch, CloseReason::keepalive_timeout), session::EndBy::device);
  EXPECT_EQ(wills.known_end(ch, {}), session::EndBy::device);
  EXPECT_EQ(wills.known_end(ch, CloseReason::drained), session::EndBy::us);
  EXPECT_EQ(wills.known_end(ch, CloseReason::engine_absent), session::EndBy::us);
  ch.clean_disconnect = true;
  EXPECT_EQ(wills.known_end(ch, CloseReason::drained), session::EndBy::disconnect);
  ch.clean_disconnect = false;
  box.core.wills.begin_drain();
  EXPECT_EQ(wills.known_end(ch, CloseReason::client), session::EndBy::us);
  EXPECT_EQ(wills.known_end(ch, {}), session::EndBy::device) << "another connection takes it";
}

TEST(Wills, AnIntentOfTheEngineBeforeUsIsPublishedOrLeftOut) {
  for (const bool skipped : {false, true}) {
    CoreBox box;
    session::Channel& hears = box.client("hears");
    box.core.subscriptions.add(*hears.session, "w", {0}, 0);
    auto will = std::make_unique<session::Will>();
    will->message = session::MessagePtr(message("w", "gone", 1));
    const std::string intent = session::will_intent_key(1000, 3);
    box.core.wills.restore(intent, std::move(will));
    box.core.wills.see_intent(3);
    if (skipped) box.core.wills.skip(3);
    box.core.wills.publish_all_due(box.now);
    EXPECT_EQ(box.clients.take().size(), skipped ? 0u : 1u);
    EXPECT_EQ(box.probe.wills_skipped, skipped ? 1u : 0u);
    EXPECT_EQ(box.commit(), Strings{"remove_applied " + intent});
    EXPECT_FALSE(box.core.wills.any_due());
  }
}

}  // namespace
}  // namespace berth::test
