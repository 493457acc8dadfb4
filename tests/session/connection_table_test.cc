// Connections that edges have told us of, and the edges themselves.
#include "session/connection_table.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using session::Channel;

TEST(ConnectionTable, AStaleIdFindsNothing) {
  CoreBox box;
  auto& table = box.core.connections;
  Channel& ch = table.make({5, 2});
  EXPECT_EQ(table.find({5, 2}), &ch);
  EXPECT_EQ(table.find({5, 1}), nullptr) << "an earlier one in this slot";
  EXPECT_EQ(table.find({5, 3}), nullptr);
  EXPECT_EQ(table.find({4, 2}), nullptr);
  EXPECT_EQ(table.find({6, 2}), nullptr) << "beyond all slots";
  EXPECT_EQ(table.find(base::ConnId{5, 2}.on_link(1)), nullptr);
  EXPECT_EQ(table.find(base::ConnId{5, 2}.on_link(200)), nullptr) << "beyond all links";
  EXPECT_EQ(table.find(base::kNoConn), nullptr);
}

TEST(ConnectionTable, LinksHaveSlotsOfTheirOwn) {
  CoreBox box;
  auto& table = box.core.connections;
  Channel& a = table.make({3, 1});
  Channel& b = table.make(base::ConnId{3, 1}.on_link(1));
  EXPECT_NE(&a, &b);
  EXPECT_EQ(table.count(), 2u);
  EXPECT_EQ(table.edge_of(a.conn), 77u);
  EXPECT_EQ(table.edge_of(b.conn), 78u);
  int seen = 0;
  table.for_each([&](Channel&) { ++seen; });
  EXPECT_EQ(seen, 2);
}

TEST(ConnectionTable, AForgottenConnectionIsThereUntilTheTurnEnds) {
  CoreBox box;
  auto& table = box.core.connections;
  Channel& ch = table.make({0, 1});
  const auto held = std::make_shared<const session::Scope>(
      session::Principal{"acme", session::Role::device, "cam"}, "north", Strings{});
  ch.scope = held;
  table.forget(ch);
  EXPECT_EQ(table.find({0, 1}), nullptr);
  EXPECT_EQ(table.count(), 0u);
  EXPECT_EQ(held.use_count(), 2) << "callers still work on it";
  Channel& next = table.make({0, 2});
  EXPECT_EQ(table.find({0, 2}), &next) << "its slot is free at once";
  table.free_forgotten();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(table.find({0, 2}), &next);
}

TEST(ConnectionTable, InputThatWasHeldBackIsAskedForOnce) {
  CoreBox box;
  auto& table = box.core.connections;
  Channel& ch = table.make({0, 1});
  table.unstall(ch);
  EXPECT_TRUE(box.effects.resumed.empty()) << "nothing was held back";
  session::stall(ch);
  table.unstall(ch);
  table.go_on_later(ch);
  session::stall(ch);
  table.unstall(ch);
  EXPECT_EQ(box.effects.resumed, std::vector<base::ConnId>{ch.conn});
  ch.resting = false;  // the shell has offered it
  table.go_on_later(ch);
  EXPECT_EQ(box.effects.resumed.size(), 2u);
}

TEST(ConnectionTable, AnEdgeIsFoundByItsIdWhileItIsKnown) {
  CoreBox box;
  auto& table = box.core.connections;
  const base::ConnId conn{9, 4};
  EXPECT_EQ(table.conn_of(78, conn.packed()), conn.on_link(1));
  EXPECT_EQ(table.conn_of(79, conn.packed()), base::kNoConn);
  table.add_links_through(2);
  EXPECT_EQ(table.conn_of(0, conn.packed()), base::kNoConn) << "a link without an edge";
  table.edges()[1].state = session::Edge::State::lost;
  EXPECT_EQ(table.conn_of(78, conn.packed()), conn.on_link(1)) << "it may come back";
  table.edges()[1] = {};
  EXPECT_EQ(table.conn_of(78, conn.packed()), base::kNoConn);
}

TEST(ConnectionTable, ASessionIsOwnedByTheConnectionOfItsLastConnect) {
  CoreBox box;
  Channel& ch = box.client("c", 600);
  Channel& other = box.client("d", 600);
  EXPECT_TRUE(box.core.connections.owned_by(*ch.session, ch));
  EXPECT_FALSE(box.core.connections.owned_by(*ch.session, other));
  ch.session->owner_edge = 78;
  EXPECT_FALSE(box.core.connections.owned_by(*ch.session, ch)) << "the same slot, of another edge";
}

TEST(ConnectionTable, EdgesOfBridgesAreInternal) {
  session::BrokerOptions o;
  o.internal_edges = {78};
  CoreBox box(o);
  EXPECT_FALSE(box.core.connections.edges()[0].internal);
  EXPECT_TRUE(box.core.connections.edges()[1].internal);
  EXPECT_TRUE(box.core.connections.edges()[0].trusted);
}

}  // namespace
}  // namespace berth::test
