// Edges that come, break off, come back or are gone.
#include "session/edge_links.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

const ConnectOptions kWithWill{
    .client_id = "d", .will_topic = "w", .will_payload = "gone", .will_qos = 1};

TEST(Edges, MessagesOfTheGapReachExpiry0AndPersistentSessionsWhenTheEdgeIsBack) {
  World w;
  const int v = w.open_connected({.client_id = "v"}, 1);
  w.feed(v, subscribe(1, "t", 1));
  const int s = w.open_connected(kPersistent, 1);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"}, 0);
  w.packets(v), w.packets(s), w.packets(p);
  w.lose(1);
  for (unsigned i = 1; i <= 3; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(w.packets(p).size(), 3u) << "acknowledged: they are in the store";
  w.join(1);
  for (const int c : {v, s}) {
    const std::vector<Packet> got = w.packets(c);
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0].payload(5), "1");
    EXPECT_EQ(got[2].payload(5), "3");
    EXPECT_FALSE(w.ended(c));
  }
}

TEST(Edges, TheEngineDiesWhileAnEdgeIsOutOfReach) {
  World w;
  const int v = w.open_connected({.client_id = "v"}, 1);
  w.feed(v, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"}, 0);
  w.packets(v);
  w.lose(1);
  w.feed(p, publish("t", "in the gap", 1, 1));
  w.crash();  // the next engine has both edges
  const std::vector<Packet> got = w.packets(v);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].payload(5), "in the gap");
}

TEST(Edges, I6_AnEdgeThatIsGoneFiresWillsOnlyAfterTheGrace) {
  World w;
  const int watch = w.open_connected({.client_id = "watch"}, 0);
  w.feed(watch, subscribe(1, "w", 1));
  w.packets(watch);
  (void)w.open_connected(kWithWill, 1);
  w.lose(1);
  w.gone(1);
  w.advance_s(59);
  EXPECT_TRUE(w.packets(watch).empty());
  w.advance_s(2);
  EXPECT_EQ(w.packets(watch).size(), 1u);
}

TEST(Edges, ComesBackAfterItWasGivenUp) {
  World w;
  const int v = w.open_connected({.client_id = "v"}, 1);  // expiry 0, subscribed
  w.feed(v, subscribe(1, "t", 1));
  const int pub = w.open_connected({.client_id = "pub"}, 1);  // expiry 0, not subscribed
  const int s = w.open_connected(kPersistent, 1);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"}, 0);
  w.lose(1);
  w.gone(1);
  w.feed(p, publish("t", "missed", 1, 1));
  w.packets(s);
  w.join(1);
  EXPECT_TRUE(w.ended(v)) << "it may have missed what was acknowledged";
  EXPECT_EQ(w.reason(v), protocol::link::CloseReason::session_lost);
  EXPECT_FALSE(w.ended(pub));
  EXPECT_FALSE(w.ended(s));
  const std::vector<Packet> got = w.packets(s);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].payload(5), "missed");
}

TEST(Edges, I6_TakenOverElsewhereWhileOutOfReachFiresNoWill) {
  World w;
  const int watch = w.open_connected({.client_id = "watch"}, 0);
  w.feed(watch, subscribe(1, "w", 1));
  w.packets(watch);
  const int old = w.open_connected(kWithWill, 1);
  w.lose(1);
  const int now = w.open_connected(kWithWill, 0);
  EXPECT_TRUE(w.packets(watch).empty()) << "most likely the edge has ended, and the device is back";
  w.join(1);
  EXPECT_TRUE(w.ended(old));
  EXPECT_EQ(w.reason(old), protocol::link::CloseReason::taken_over);
  EXPECT_FALSE(w.ended(now));
}

// -- the room alone

using session::Edge;

TEST(EdgeLinks, AnEdgeThatIsLostForgetsItsConnectionsAndKeepsTheirSessions) {
  CoreBox box;
  session::Channel& here = box.client("here", 0, 0);
  session::Channel& there = box.client("there", 0, 1);
  session::Session& s = *there.session;
  const base::ConnId conn = there.conn;
  session::outbox(s);
  box.core.edge_links.lost(1, box.now);
  EXPECT_EQ(box.core.connections.find(conn), nullptr);
  EXPECT_EQ(box.core.connections.edges()[1].state, Edge::State::lost);
  EXPECT_EQ(s.channel, nullptr);
  EXPECT_TRUE(s.limbo);
  EXPECT_EQ(s.outbox, nullptr) << "what was under way will be said by its cookie";
  EXPECT_NE(here.session, nullptr);
  box.core.edge_links.lost(1, box.now);  // again: nothing happens
}

TEST(EdgeLinks, OutcomesOfAConnectionWaitForItsEdge) {
  CoreBox box;
  session::Channel& ch = box.client("c", 0, 1);
  box.core.replay.record(ch, "outcome", 100);
  const std::uint64_t packed = ch.conn.local().packed();
  box.core.edge_links.lost(1, box.now);
  EXPECT_EQ(box.core.replay.orphans().at({78, packed}).at(0).second, "outcome");
}

TEST(EdgeLinks, WhatWaitedForACommitIsForgottenButWhatItRetains) {
  CoreBox box;
  session::Channel& ch = box.client("c", 0, 1);
  session::MessageView m = message("r", "x");
  m.retain = true;
  session::Deferred d;
  d.kind = session::Deferred::Kind::publish;
  d.message = session::MessagePtr(m);
  box.core.retained_delivery.store(m);
  box.core.commits.defer(ch, std::move(d));
  box.core.edge_links.lost(1, box.now);
  EXPECT_TRUE(box.core.retained.contains("r")) << "it is in the batch and not retained anew";
  EXPECT_FALSE(box.core.commits.has_deferred());
}

TEST(EdgeLinks, AnEdgeThatIsGoneEndsItsSessions) {
  CoreBox box;
  session::Channel& stored = box.client("stored", 600, 1);
  box.client("volatile", 0, 1);
  box.client("elsewhere", 0, 0);
  session::Session& s = *stored.session;
  box.core.edge_links.gone(1, box.now);
  EXPECT_EQ(box.core.sessions.size(), 2u);
  EXPECT_FALSE(s.limbo);
  EXPECT_EQ(s.expires_at, box.now.plus_s(600));
  EXPECT_EQ(box.core.connections.edges()[1].state, Edge::State::none);
  const Strings wrote = box.commit();
  EXPECT_NE(std::find(wrote.begin(), wrote.end(), "remove_applied " + session::edge_key(78)),
            wrote.end());
}

TEST(EdgeLinks, AnEdgeThatAttachesIsStoredBeforeItsInputsRun) {
  CoreBox box;
  box.core.edge_links.begin_serving();
  box.core.edge_links.came(2, 79);
  bool done = false;
  box.core.edge_links.attached(2, box.now, [&] { done = true; });
  EXPECT_FALSE(done);
  EXPECT_EQ(box.commit(), Strings{"put_applied " + session::edge_key(79)});
  EXPECT_TRUE(done);
}

TEST(EdgeLinks, OnlyAnEdgeOfTheEngineBeforeUsIsTrusted) {
  CoreBox box;
  box.core.replay.stored_edges() = {79, 80};
  box.core.edge_links.came(2, 79);
  EXPECT_TRUE(box.core.connections.edges()[2].trusted);
  box.core.edge_links.came(3, 81);
  EXPECT_FALSE(box.core.connections.edges()[3].trusted);
  box.core.edge_links.begin_serving();
  box.core.edge_links.came(4, 80);
  EXPECT_FALSE(box.core.connections.edges()[4].trusted) << "its sessions have been given up";
}

}  // namespace
}  // namespace berth::test
