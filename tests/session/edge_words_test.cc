// What edges say of packets of commands, and how long they are asked to keep it.
#include "session/edge_words.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using protocol::link::Fate;
using protocol::link::kCommandTag;

constexpr std::uint64_t kTag = kCommandTag | 7;

struct Noted final : session::CommandWords {
  void told(base::ConnId conn, std::uint64_t tag, Fate fate) override {
    said.push_back("told " + std::to_string(conn.slot) + " " + std::to_string(tag & ~kCommandTag) +
                   " " + name_of(fate));
  }
  void pending(base::ConnId conn, std::uint64_t tag) override {
    said.push_back("pending " + std::to_string(conn.slot) + " " +
                   std::to_string(tag & ~kCommandTag));
  }
  void listed(std::uint32_t link) override { said.push_back("listed " + std::to_string(link)); }
  void lost(std::uint32_t link) override { said.push_back("lost " + std::to_string(link)); }
  void gone(std::uint32_t link) override { said.push_back("gone " + std::to_string(link)); }
  Strings said;
};

struct Words : CoreBox {
  Words() { core.edge_words.watch(noted); }
  session::EdgeWords& words = core.edge_words;
  Noted noted;
  bool send(base::ConnId conn, std::uint64_t tag = kTag) {
    return words.send(conn, "bytes", {}, {now, tag, true});
  }
  void close(base::ConnId conn) {
    core.closed(conn, protocol::link::CloseReason::peer_reset);
    core.end_turn(now);
    commit();
    core.end_turn(now);
  }
};

TEST(EdgeWords, AFateIsTakenWhenItsObserverSaysSo) {
  Words w;
  const base::ConnId conn = w.client("c").conn;
  ASSERT_TRUE(w.send(conn));
  EXPECT_EQ(w.effects.sent, "bytes");
  w.core.told(conn, kTag, Fate::written, w.now);
  EXPECT_EQ(w.noted.said, (Strings{"told 0 7 written"}));
  EXPECT_TRUE(w.effects.taken.empty());
  w.words.taken(conn, kTag, Fate::written);
  ASSERT_EQ(w.effects.taken.size(), 1u);
  EXPECT_EQ(w.effects.taken[0].tag, kTag);
  EXPECT_EQ(w.effects.taken[0].fate, Fate::written);
  EXPECT_EQ(w.words.connections(), 0u);
}

TEST(EdgeWords, WithoutAnObserverAFateIsTakenAtOnce) {
  CoreBox box;
  const base::ConnId conn = box.client("c").conn;
  box.core.told(conn, kTag, Fate::dropped, box.now);
  ASSERT_EQ(box.effects.taken.size(), 1u);
  EXPECT_EQ(box.core.edge_words.connections(), 0u);
}

TEST(EdgeWords, WhatWasNotSentIsNotWaitedFor) {
  Words w;
  const base::ConnId conn = w.client("c").conn;
  w.effects.takes_timed = false;
  EXPECT_FALSE(w.send(conn));
  EXPECT_EQ(w.words.connections(), 0u);
  w.close(conn);
  EXPECT_EQ(w.effects.released.size(), 1u);
}

// The edge forgets what it has to say of a connection when the connection is released.
TEST(EdgeWords, AConnectionIsReleasedWhenTheLastFateIsTaken) {
  Words w;
  const base::ConnId conn = w.client("c").conn;
  const base::ConnId other = w.client("o").conn;
  ASSERT_TRUE(w.send(conn, kTag));
  ASSERT_TRUE(w.send(conn, kTag + 1));
  w.core.told(conn, kTag, Fate::written, w.now);
  w.core.told(conn, kTag, Fate::cut_off, w.now);
  w.close(conn);
  w.close(other);
  EXPECT_EQ(w.effects.released, (std::vector{other}));
  EXPECT_EQ(w.core.connections.find(conn), nullptr) << "its session does not wait";
  w.words.taken(conn, kTag, Fate::written);
  w.words.taken(conn, kTag, Fate::cut_off);
  EXPECT_EQ(w.effects.released.size(), 1u);
  w.core.told(conn, kTag + 1, Fate::dropped, w.now);  // sent before the end was known
  EXPECT_EQ(w.noted.said.back(), "told 0 8 dropped");
  EXPECT_EQ(w.effects.released.size(), 1u);
  w.words.taken(conn, kTag + 1, Fate::dropped);
  EXPECT_EQ(w.effects.released, (std::vector{other, conn}));
}

// A pending packet of an engine before is as one of ours.
TEST(EdgeWords, APendingPacketKeepsItsConnection) {
  Words w;
  const base::ConnId conn = w.client("c", 600).conn;
  w.words.pending(conn, kTag);
  w.words.pending(conn, kTag);  // after another attach
  w.close(conn);
  EXPECT_TRUE(w.effects.released.empty());
  w.core.told(conn, kTag, Fate::dropped, w.now);
  w.words.taken(conn, kTag, Fate::dropped);
  EXPECT_EQ(w.effects.released.size(), 1u);
}

TEST(EdgeWords, ALinkThatBreaksIsForgotten) {
  Words w;
  const base::ConnId conn = w.client("c", 0, 1).conn;
  const base::ConnId here = w.client("h", 0, 0).conn;
  ASSERT_TRUE(w.send(conn));
  ASSERT_TRUE(w.send(here));
  w.core.edge_links.lost(1, w.now);
  EXPECT_EQ(w.words.connections(), 1u);
  EXPECT_EQ(w.noted.said, (Strings{"lost 1"}));
  w.words.taken(conn, kTag, Fate::written);  // of before
  EXPECT_EQ(w.words.connections(), 1u);
  w.core.edge_links.gone(1, w.now);
  EXPECT_EQ(w.noted.said, (Strings{"lost 1", "gone 1"}));
}

TEST(EdgeWords, AnEdgeHasSaidAllWhenItHasAttached) {
  Words w;
  w.core.edge_links.attached(0, w.now, [] {});
  EXPECT_EQ(w.noted.said, Strings{}) << "others may be on their way";
  w.core.edge_links.begin_serving();
  w.core.edge_links.attached(0, w.now, [] {});
  w.core.edge_links.attached(1, w.now, [] {});
  EXPECT_EQ(w.noted.said, (Strings{"listed 0", "listed 1"}));
  w.effects.watches_all = false;
  w.core.edge_links.attached(1, w.now, [] {});
  EXPECT_EQ(w.noted.said.back(), "gone 1") << "it lists nothing, so silence has no meaning";
}

TEST(EdgeWords, EdgesOfTheBeginningHaveSaidAllWhenAllHaveAttached) {
  Words w;
  w.core.attached_all(w.now);
  EXPECT_EQ(w.noted.said, (Strings{"listed 0", "listed 1"}));
}

}  // namespace
}  // namespace berth::test
