// What we keep for other partitions.
#include "session/peer_queues.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "session/entry_codec.h"
#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using session::Delivery;
using session::PeerTag;
using session::Session;

// Partition 0 of three, with a session for each of the others.
struct PartitionedQueues {
  static session::BrokerOptions three() {
    session::BrokerOptions o;
    o.partitions = 3;
    return o;
  }
  CoreBox box{three()};
  Session& one = box.session("$peer/1", 0xffffffff);
  Session& two = box.session("$peer/2", 0xffffffff);
  session::PeerQueues& queues = box.core.peer_queues;

  // The tags of the entries in the open batch, by session.
  std::vector<std::pair<base::SessionId, PeerTag>> staged() {
    std::vector<std::pair<base::SessionId, PeerTag>> out;
    const auto batch = box.core.commits.seal();
    for (std::size_t i = 0; batch && i < batch->size(); ++i) {
      const session::Write w = (*batch)[i];
      const auto entry = session::decode_entry(w.value);
      if (w.kind == session::WriteKind::append && entry)
        out.emplace_back(w.session, session::tag_of(entry->ids));
    }
    return out;
  }
};

TEST(PeerQueues, AnEntrySaysWhatItsPartitionIsToDoWithIt) {
  PartitionedQueues p;
  Delivery d{.message = message("t", "m", 2), .owned = {}, .publisher = {}};
  d.message.stamp = 4711;
  p.queues.stage(p.one, d, 77, true);
  const auto got = p.staged();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].first, p.one.id);
  EXPECT_EQ(got[0].second.group, 77u);
  EXPECT_TRUE(got[0].second.retain_only);
  EXPECT_EQ(got[0].second.qos, 2) << "of the publisher";
  EXPECT_EQ(got[0].second.stamp, 4711u);
}

TEST(PeerQueues, ARetainedMessageIsForEveryPartitionOnce) {
  PartitionedQueues p;
  ASSERT_TRUE(p.queues.add_route(p.one, "t", 1));
  Delivery d{.message = message("t", "m", 1), .owned = {}, .publisher = {}};
  d.message.retain = true;
  p.queues.stage_retained(p.box.core.router.match("t"), d);
  const auto got = p.staged();
  ASSERT_EQ(got.size(), 1u) << "partition 1 has subscribed and gets it as a subscriber";
  EXPECT_EQ(got[0].first, p.two.id);
  EXPECT_TRUE(got[0].second.retain_only);
}

TEST(PeerQueues, WhatIsRetainedIsKeptWithQos0Too) {
  Delivery d{.message = message("t", "m", 0), .owned = {}, .publisher = {}};
  EXPECT_FALSE(session::PeerQueues::keeps(d));
  d.message.retain = true;
  EXPECT_TRUE(session::PeerQueues::keeps(d));
  d.message.retain = false;
  d.message.qos = 1;
  EXPECT_TRUE(session::PeerQueues::keeps(d));
}

TEST(PeerQueues, ARouteIsASubscriptionOfItsPartition) {
  PartitionedQueues p;
  EXPECT_FALSE(p.queues.add_route(p.one, "a/#/b", 1)) << "no filter";
  ASSERT_TRUE(p.queues.add_route(p.one, "a/+", 1));
  ASSERT_TRUE(p.queues.add_route(p.one, "a/+", 2));
  ASSERT_TRUE(p.queues.add_route(p.two, "$share/g/a/+", 5));
  EXPECT_EQ(p.queues.routes_of(1).at("a/+"), 2u) << "of the newest generation";
  const session::Match& m = p.box.core.router.match("a/b");
  ASSERT_EQ(m.targets.size(), 1u);
  EXPECT_EQ(m.targets[0].session, &p.one);
  EXPECT_EQ(m.targets[0].options.qos(), 2);
  EXPECT_TRUE(m.targets[0].options.retain_as_published());
  ASSERT_EQ(m.groups.size(), 1u);
  EXPECT_EQ(m.groups[0]->route, session::route_of_group("$share/g/a/+"));
  p.queues.remove_route(p.one, "a/+");
  EXPECT_TRUE(p.box.core.router.match("a/b").targets.empty());
  EXPECT_EQ(p.box.commit(), Strings{"remove_applied " + session::route_key(1, "a/+")});
}

TEST(PeerQueues, PartitionsHaveTheirSessionsAndRoutesBeforeInputs) {
  CoreBox box(PartitionedQueues::three());
  auto& queues = box.core.peer_queues;
  queues.stored_routes()[session::route_key(2, "a/#")] = 9;
  queues.stored_routes()[session::route_key(7, "b")] = 9;  // of a partition that is not there
  queues.restore_routes();
  EXPECT_EQ(box.core.sessions.by_client("$peer/0"), nullptr) << "our own";
  ASSERT_NE(box.core.sessions.by_client("$peer/1"), nullptr);
  const Session* two = box.core.sessions.by_client("$peer/2");
  ASSERT_NE(two, nullptr);
  EXPECT_TRUE(two->persistent());
  EXPECT_EQ(box.core.router.match("a/x").targets.at(0).session, two);
  EXPECT_TRUE(box.core.router.match("b").empty());
  EXPECT_EQ(box.commit().size(), 2u) << "a record each";
  EXPECT_TRUE(queues.stored_routes().empty());
}

}  // namespace
}  // namespace berth::test
