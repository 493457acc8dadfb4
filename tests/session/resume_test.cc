// What arrives, or dies, around a CONNECT or a SUBSCRIBE of a stored session: nothing that its
// publisher has been told is taken may be missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/support/park_world.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using Words = std::vector<std::string>;

const ConnectOptions kStored{.client_id = "s", .clean = false, .properties = expiry(600)};
const ConnectOptions kEnds{.client_id = "s", .clean = false};  // expiry 0

// Payloads of what comes, once each; all of it is acknowledged.
Words receive(World& w, int c, bool* present = nullptr) {
  Words got;
  const auto add = [&](const std::string& payload) {
    if (std::find(got.begin(), got.end(), payload) == got.end()) got.push_back(payload);
  };
  for (bool more = true; more;) {
    more = false;
    for (const Packet& k : w.packets(c)) {
      if (k.type == 6) w.feed(c, ack(7, k.id()));
      if (k.type == 2 && present != nullptr) *present = k.body[0] == 1;
      if (k.type != 3) continue;
      more = true;
      add(k.payload(5).substr(0, 8) + (k.retain() ? " retained" : ""));
      if (k.qos() != 0) w.feed(c, ack(k.qos() == 1 ? 4 : 5, k.id()));
    }
  }
  return got;
}

// Undisturbed, and with an engine death at each boundary.
void at_every_boundary(const std::function<void(World&)>& scenario) {
  int at = -1;
  do {
    World w({}, at);
    SCOPED_TRACE("death at boundary " + std::to_string(at));
    scenario(w);
    if (testing::Test::HasFailure() || (at >= 0 && !w.crashed())) break;
  } while (++at < 10'000);
  EXPECT_GT(at, 10);
}

// A stored session with `queued` messages.
void leave_queue(World& w, int publisher, unsigned queued) {
  const int s = w.open_connected(kStored);
  w.feed(s, subscribe(1, "t", 2));
  w.feed(s, disconnect());
  w.close(s);
  for (unsigned i = 1; i <= queued; ++i)
    w.feed(publisher, publish("t", "q" + std::to_string(i), 1, i));
}

// The connection is given expiry 0: the session ends with it, not before it (MQTT 5.0 3.1.2.11.2).
TEST(Resume, WithExpiry0NothingIsLostBeforeTheConnack) {
  at_every_boundary([](World& w) {
    const int p = w.open_connected({.client_id = "p"});
    leave_queue(w, p, 3);
    w.hold_commits(true);
    const int s = w.open(1);
    w.feed(s, connect(kEnds));
    w.feed(p, publish("t", "m1", 1, 4) + publish("t", "m2", 2, 5));
    w.hold_commits(false);
    w.feed(p, ack(6, 5));
    bool present = false;
    const Words got = receive(w, s, &present);
    EXPECT_TRUE(present);
    EXPECT_EQ(got, (Words{"q1", "q2", "q3", "m1", "m2"}));
    w.feed(p, publish("t", "live", 1, 6));
    EXPECT_EQ(receive(w, s), Words{"live"});
    w.close(s);
    w.feed(p, publish("t", "late", 1, 7));
    const int again = w.open_connected(kStored);
    const std::vector<Packet> connack = w.packets(again);
    ASSERT_EQ(connack.size(), 1u) << "the session has ended with its connection";
    EXPECT_EQ(connack[0].body[0], 0);
  });
}

TEST(Resume, WithExpiry0TheSessionEndsInATakeOver) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  leave_queue(w, p, 1);
  const int s = w.open_connected(kEnds);
  EXPECT_EQ(w.packets(s).size(), 2u);
  const int again = w.open_connected(kStored);
  const std::vector<Packet> connack = w.packets(again);
  ASSERT_EQ(connack.size(), 1u);
  EXPECT_EQ(connack[0].body[0], 0);
  EXPECT_TRUE(w.ended(s));
}

TEST(Resume, WithExpiry0ADisconnectMayNotRaiseIt) {  // 3.14.2.2.2
  World w;
  const int p = w.open_connected({.client_id = "p"});
  leave_queue(w, p, 0);
  const int s = w.open_connected(kEnds);
  w.feed(s, packet(0xe0, std::string("\0", 1) + var(5) + expiry(60)));
  EXPECT_EQ(w.reason(s), protocol::link::CloseReason::protocol_error);
}

TEST(Resume, WithExpiry0TheSessionEndsWithAGatewayThatIsKilled) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  leave_queue(w, p, 1);
  w.open_connected(kEnds);
  w.restart_all(90);
  w.run();
  EXPECT_EQ(w.broker().find_session("s"), nullptr);
}

// The packet id of a stored session is in the store, whatever expiry its connection has.
TEST(Resume, WithExpiry0AReleasedPacketIdIsFree) {
  World w;
  const int s = w.open_connected({.client_id = "sub"});
  w.feed(s, subscribe(1, "t", 2));
  int p = w.open_connected(kStored);
  w.feed(p, publish("t", "one", 2, 1));
  w.close(p);
  p = w.open_connected(kEnds);
  w.feed(p, ack(6, 1));
  EXPECT_EQ(receive(w, s), Words{"one"});
  w.crash();
  w.feed(p, publish("t", "two", 2, 1) + ack(6, 1));
  EXPECT_EQ(receive(w, s), Words{"two"});
}

// A message that takes several batches, said again on another connection while it is staged.
TEST(Resume, ARepeatedPublishIsAnsweredBehindItsFanOut) {
  constexpr int kReceivers = 8;
  at_every_boundary([](World& w) {
    std::vector<int> receivers;
    for (int i = 0; i < kReceivers; ++i) {
      receivers.push_back(w.open_connected({.client_id = "r" + std::to_string(i),
                                            .clean = false,
                                            .properties = expiry(600)}));
      w.feed(receivers.back(), subscribe(1, "t", 2));
    }
    const int first = w.open_connected(kStored);
    const std::string big(270'000, 'x');
    w.hold_commits(true);
    w.feed(first, publish("t", big, 2, 1));
    const int again = w.open(0);
    w.feed(again, connect(kStored) + publish("t", big, 2, 1, 5, false, true));
    EXPECT_TRUE(w.crashed() || w.packets(again).empty()) << "a part is not even committed";
    w.hold_commits(false);
    w.feed(again, ack(6, 1));
    for (const int r : receivers) {
      int copies = 0;
      for (int round = 0; round < 3; ++round) {
        for (const Packet& k : w.packets(r)) {
          copies += k.type == 3 ? 1 : 0;
          if (k.type == 3) w.feed(r, ack(5, k.id()));
          if (k.type == 6) w.feed(r, ack(7, k.id()));
        }
      }
      EXPECT_EQ(copies, 1);
    }
    EXPECT_FALSE(w.ended(again));
  });
}

// As a subscriber it is too late for the PUBLISH, as one who finds it retained it must not be too
// early.
TEST(Resume, ASubscribeFindsWhatIsAboutToBeRetained) {
  at_every_boundary([](World& w) {
    const int p = w.open_connected({.client_id = "p"});
    const int other = w.open_connected({.client_id = "other"});
    w.feed(p, publish("t", "old", 1, 1, 5, true));
    const int s = w.open_connected(kStored, 1);
    w.hold_commits(true);
    w.feed(p, publish("t", "new", 1, 2, 5, true));
    w.feed(s, subscribe(1, "t", 2));
    w.feed(other, publish("t", "newest", 1, 1, 5, true));
    w.hold_commits(false);
    const Words got = receive(w, s);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(std::count(got.begin(), got.end(), "old retained"), 0);
    if (w.crashed()) {  // two publishers, both repeated: either may be heard first, or again
      EXPECT_TRUE(std::any_of(got.begin(), got.end(),
                              [](const std::string& g) { return g.starts_with("newest"); }));
    } else {
      EXPECT_EQ(got, (Words{"new retained", "newest"}));
    }
  });
}

TEST(Resume, ASubscribeFindsWhatIsRetainedBehindAFanOut) {
  World w;
  std::vector<int> receivers;
  for (int i = 0; i < 8; ++i) {
    receivers.push_back(w.open_connected(
        {.client_id = "r" + std::to_string(i), .clean = false, .properties = expiry(600)}));
    w.feed(receivers.back(), subscribe(1, "t", 1));
  }
  const int p = w.open_connected({.client_id = "p"});
  const int s = w.open_connected(kStored, 1);
  w.hold_commits(true);
  w.feed(p, publish("t", std::string(270'000, 'x'), 1, 1, 5, true));
  w.feed(s, subscribe(1, "t", 1));
  w.hold_commits(false);
  EXPECT_EQ(receive(w, s), Words{"xxxxxxxx retained"});
}

TEST(Resume, AParkDeviceFindsWhatIsAboutToBeRetained) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("v1/_/gate/desired", "mode=auto", 1, 1, 5, true));
  WorldDevice d(w, {.client_id = "gate", .session_expiry_s = 600});
  d.come();
  w.hold_commits(false);
  d.pump();
  EXPECT_EQ(d.commands, Words{"desired mode=auto"});
}

}  // namespace
}  // namespace berth::test
