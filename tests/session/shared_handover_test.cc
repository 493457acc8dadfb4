// What an ended member of a shared subscription held goes to another one (MQTT 5.0 4.8.2).
#include "session/shared_handover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/core_box.h"
#include "tests/support/partitions.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using Strings = std::vector<std::string>;

constexpr const char* kGroup = "$share/g/t/#";

ConnectOptions member(const std::string& id, std::uint32_t expiry_s) {
  return {.client_id = id, .clean = false, .properties = expiry(expiry_s)};
}

void say(World& w, unsigned qos, unsigned from, unsigned to) {
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = from; i <= to; ++i) {
    w.feed(p, publish("t/1", std::to_string(i), qos, i));
    if (qos == 2) w.feed(p, ack(6, i));
  }
  w.close(p);
}

TEST(SharedReturn, TheQueueOfAnExpiredMember) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  w.close(a);
  say(w, 1, 1, 600);  // more than is read at a time
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  w.advance_s(61);
  Strings expected;
  for (int i = 1; i <= 600; ++i) expected.push_back(std::to_string(i));
  Strings got;
  for (const Packet& p : take_publishes(w, b)) {
    got.push_back(p.payload(5));
    EXPECT_FALSE(p.dup()) << "new to this member";
  }
  EXPECT_EQ(got, expected);
  EXPECT_EQ(w.probe().shared_returned, 600u);
  EXPECT_EQ(w.broker().session_count(), 1u);
  w.crash();
  EXPECT_EQ(w.broker().session_count(), 1u);
}

TEST(SharedReturn, WhatAKilledConsumerHasNotAcknowledged) {
  World w;
  const int a = w.open_connected({.client_id = "a"});
  w.feed(a, subscribe(1, kGroup, 1));
  say(w, 1, 1, 5);
  EXPECT_EQ(payloads(w.packets(a)).size(), 5u);
  w.feed(a, ack(4, 1));
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  w.close(a, protocol::link::CloseReason::peer_reset);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"2", "3", "4", "5"}));
}

TEST(SharedReturn, WhatAnOrdinarySubscriptionBringsStays) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  w.feed(a, subscribe(2, "t/1", 1));
  w.close(a);
  say(w, 1, 1, 3);
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  w.advance_s(61);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"1", "2", "3"})) << "of two copies one";
}

TEST(SharedReturn, OfQoS2OnlyWhatWasNeverSent) {
  World w;
  ConnectOptions o = member("a", 60);
  o.properties += std::string("\x21", 1) + u16(2);  // Receive Maximum
  const int a = w.open_connected(o);
  w.feed(a, subscribe(1, kGroup, 2));
  w.packets(a);
  say(w, 2, 1, 4);
  EXPECT_EQ(payloads(w.packets(a)), (Strings{"1", "2"}));
  w.close(a);
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 2));
  w.packets(b);
  w.advance_s(61);
  EXPECT_EQ(payloads(w.packets(b)), (Strings{"3", "4"}));
}

TEST(SharedReturn, WhenItsClientBeginsAnew) {
  World w;
  const int a = w.open_connected(member("a", 600));
  w.feed(a, subscribe(1, kGroup, 1));
  w.close(a);
  say(w, 1, 1, 3);
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  const int again = w.open_connected({.client_id = "a", .clean = true});
  EXPECT_EQ(w.packets(again).size(), 1u);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"1", "2", "3"}));
}

TEST(SharedReturn, WhatItHadNotAcknowledgedWhenAnEngineDied) {
  World w;
  const int a = w.open_connected({.client_id = "a"});
  w.feed(a, subscribe(1, kGroup, 1));
  say(w, 1, 1, 5);
  EXPECT_EQ(payloads(w.packets(a)).size(), 5u);
  w.feed(a, ack(4, 1));
  w.crash();
  w.feed(a, ack(4, 2));
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  w.close(a, protocol::link::CloseReason::peer_reset);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"3", "4", "5"}));
}

TEST(SharedReturn, InASingleProcessToo) {
  World w;
  w.single_process();
  const int a = w.open_connected({.client_id = "a"});
  w.feed(a, subscribe(1, kGroup, 1));
  say(w, 1, 1, 5);
  w.feed(a, ack(4, 1));
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  w.close(a, protocol::link::CloseReason::peer_reset);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"2", "3", "4", "5"}));
}

TEST(SharedReturn, AMemberThatEndsBeforeItGetsWhatItWasChosenFor) {
  World w;
  w.single_process();
  const int kept = w.open_connected(member("kept", 600));
  w.feed(kept, subscribe(1, "t/#", 1));
  const int a = w.open_connected({.client_id = "a"});
  w.feed(a, subscribe(1, kGroup, 1));
  w.hold_commits(true);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t/1", "1", 1, 1));  // waits for the commit of the queue of `kept`
  w.close(a, protocol::link::CloseReason::peer_reset);
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe(1, kGroup, 1));
  w.hold_commits(false);
  EXPECT_EQ(payloads(take_publishes(w, b)), Strings{"1"});
}

TEST(SharedReturn, WhenItHasUnsubscribedBefore) {
  World w;
  const int a = w.open_connected({.client_id = "a"});
  w.feed(a, subscribe(1, kGroup, 1));
  say(w, 1, 1, 2);
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  w.feed(a, unsubscribe(2, kGroup));
  w.close(a);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"1", "2"}));
}

TEST(SharedReturn, EachGroupItsOwn) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  w.feed(a, subscribe(2, "$share/h/t/+", 1));
  w.close(a);
  say(w, 1, 1, 2);
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 1));
  const int c = w.open_connected(member("c", 600));
  w.feed(c, subscribe(1, "$share/h/t/+", 1));
  w.packets(b);
  w.packets(c);
  w.advance_s(61);
  EXPECT_EQ(payloads(take_publishes(w, b)), (Strings{"1", "2"}));
  EXPECT_EQ(payloads(take_publishes(w, c)), (Strings{"1", "2"}));
}

TEST(SharedReturn, NobodyIsLeft) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  w.close(a);
  say(w, 1, 1, 3);
  w.advance_s(61);
  EXPECT_EQ(w.probe().shared_no_member, 3u);
  EXPECT_EQ(w.broker().session_count(), 0u);
  w.crash();
  EXPECT_EQ(w.broker().session_count(), 0u);
}

TEST(SharedReturn, AMemberThatWantsQos0) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  w.close(a);
  say(w, 1, 1, 3);
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe(1, kGroup, 0));
  w.packets(b);
  w.advance_s(61);
  EXPECT_EQ(payloads(w.packets(b)), (Strings{"1", "2", "3"}));
}

TEST(SharedReturn, ALittleInEachTurn) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  w.close(a);
  say(w, 1, 1, 10'000);
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 1));
  w.close(b);
  std::uint64_t before = w.probe().shared_returned;
  std::uint64_t most = 0;
  w.each_turn([&] {
    most = std::max(most, w.probe().shared_returned - before);
    before = w.probe().shared_returned;
  });
  w.advance_s(61);
  EXPECT_EQ(w.probe().shared_returned, 10'000u);
  EXPECT_LE(most, 256u);
  ASSERT_NE(w.broker().find_session("b"), nullptr);
  EXPECT_EQ(w.broker().find_session("b")->flow().queued, 10'000u);
}

TEST(SharedReturn, WhatKillsEnginesGoesToNobody) {
  World w;
  const int a = w.open_connected(member("a", 60));
  w.feed(a, subscribe(1, kGroup, 1));
  const std::uint64_t id = w.broker().find_session("a")->id.value;
  w.close(a);
  say(w, 1, 1, 3);
  const int b = w.open_connected(member("b", 600));
  w.feed(b, subscribe(1, kGroup, 1));
  w.packets(b);
  using protocol::link::ForwardedWork;
  w.broker().skip_forwarded({ForwardedWork::kEstateSource, id});
  w.advance_s(61);
  EXPECT_EQ(payloads(take_publishes(w, b)), Strings{});
  EXPECT_EQ(w.probe().shared_skipped, 3u);
  EXPECT_EQ(w.broker().session_count(), 1u);
}

TEST(SharedReturn, ToAMemberOfAnotherPartition) {
  Partitions p;
  ConnectOptions o = member(Partitions::client("a", 0), 60);
  const int a = p[0].open_connected(o);
  p[0].feed(a, subscribe(1, kGroup, 1));
  p.run();
  p[0].close(a);
  const int d = p[0].open_connected({.client_id = Partitions::client("d", 0)});
  for (unsigned i = 1; i <= 3; ++i) p[0].feed(d, publish("t/1", std::to_string(i), 1, i));
  p.run();
  const int b = p[1].open_connected(member(Partitions::client("b", 1), 600));
  p[1].feed(b, subscribe(1, kGroup, 1));
  p.run();
  p[1].packets(b);
  p[0].advance_s(61);
  p.run();
  EXPECT_EQ(payloads(take_publishes(p[1], b)), (Strings{"1", "2", "3"}));
}

TEST(SharedReturn, EachOnceWhereverTheEngineDies) {
  for (int at = 0;; ++at) {
    World w({}, at);
    const int a = w.open_connected(member("a", 60));
    w.feed(a, subscribe(1, kGroup, 2));
    w.close(a);
    say(w, 2, 1, 3);
    const int b = w.open_connected(member("b", 600));
    w.feed(b, subscribe(1, kGroup, 2));
    w.packets(b);
    w.advance_s(61);
    if (!w.crashed()) break;
    w.run();
    ASSERT_EQ(payloads(w.packets(b)), (Strings{"1", "2", "3"}))
        << "engine death at boundary " << at;
    ASSERT_EQ(w.broker().session_count(), 1u) << at;
  }
}

// -- the room alone

// A member whose queue is in memory only, as where no edge survives.
struct Leaving {
  CoreBox box{{}, false};
  session::Channel& ch = box.client("leaves");
  session::Session& s = *ch.session;

  Leaving() { box.core.subscriptions.add(s, "$share/g/t", {1}, 0); }
  void hold(const std::string& payload, std::uint8_t qos, session::EntryState state) {
    session::OutEntry e;
    e.message = session::MessagePtr(message("t", payload, qos));
    e.qos = qos;
    e.state = state;
    e.mark = session::group_mark(session::route_of_group("$share/g/t"));
    session::outbox(s).ring.push_back(std::move(e));
    ++s.own_flow().last_seq;
  }
  bool leave() {
    box.core.sessions.offline(s, session::Offline::device);
    return box.core.handover.leave(s, box.now);
  }
  Strings others_get(session::Channel& other) {
    (void)other;
    box.cx.budget.begin_turn();
    box.core.handover.go_on(box.now);
    return box.clients.take();
  }
};

TEST(SharedHandover, ASessionThatHoldsNothingLeavesNothing) {
  Leaving l;
  EXPECT_FALSE(l.leave());
  EXPECT_EQ(l.box.core.estates.size(), 0u);
}

TEST(SharedHandover, ASessionWithoutSharedSubscriptionsLeavesNothing) {
  CoreBox box;
  session::Session& s = box.session("c", 600);
  s.own_flow().queued = 3;
  EXPECT_FALSE(box.core.handover.leave(s, box.now));
}

TEST(SharedHandover, WhatWasNotAcknowledgedGoesToAnotherMember) {
  Leaving l;
  using session::EntryState;
  l.hold("unsent", 1, EntryState::queued);
  l.hold("sent", 1, EntryState::sent);
  l.hold("done", 1, EntryState::done);
  l.hold("sent with QoS 2", 2, EntryState::sent);  // it may have had it
  session::Channel& other = l.box.client("stays");
  l.box.core.subscriptions.add(*other.session, "$share/g/t", {1}, 0);
  const base::SessionId id = l.s.id;
  ASSERT_TRUE(l.leave());
  EXPECT_EQ(l.box.core.sessions.by_client("leaves"), nullptr) << "its client may come again";
  EXPECT_NE(l.box.core.sessions.by_id(id), nullptr) << "until the last one is handed on";
  EXPECT_EQ(l.others_get(other), (Strings{"deliver t unsent q1 #1", "deliver t sent q1 #2"}));
  EXPECT_EQ(l.box.core.sessions.by_id(id), nullptr);
  EXPECT_EQ(l.box.probe.shared_returned, 2u);
}

TEST(SharedHandover, WithoutAnotherMemberItIsCounted) {
  Leaving l;
  l.hold("unsent", 1, session::EntryState::queued);
  ASSERT_TRUE(l.leave());
  l.box.cx.budget.begin_turn();
  l.box.core.handover.go_on(l.box.now);
  EXPECT_TRUE(l.box.clients.take().empty());
  EXPECT_EQ(l.box.probe.shared_no_member, 1u);
  EXPECT_EQ(l.box.core.estates.size(), 0u);
}

}  // namespace
}  // namespace berth::test
