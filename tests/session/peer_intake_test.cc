// Messages of other partitions: each is taken once, by its number.
#include "session/peer_intake.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using session::PeerTag;

struct PartitionedIntake {
  static session::BrokerOptions three() {
    session::BrokerOptions o;
    o.partitions = 3;
    return o;
  }
  CoreBox box{three()};
  Strings done;

  PartitionedIntake() {
    session::Channel& ch = box.client("c", 600);
    box.core.subscriptions.add(*ch.session, "t", {1}, 0);
  }
  void publish(std::uint32_t source, std::uint64_t seq, const PeerTag& tag = {}) {
    box.core.peer_intake.publish(source, seq, tag, message("t", std::to_string(seq), 1), box.now,
                                 [this, seq] { done.push_back(std::to_string(seq)); });
  }
  bool has(const Strings& lines, const std::string& begin) {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& l) { return l.starts_with(begin); });
  }
};

TEST(PeerIntake, AMessageIsDoneWhenItIsDurable) {
  PartitionedIntake p;
  p.publish(1, 5);
  EXPECT_TRUE(p.done.empty());
  EXPECT_EQ(p.box.core.sources[1].pending, 1u);
  const Strings wrote = p.box.commit();
  EXPECT_TRUE(p.has(wrote, "append ")) << "for our session";
  EXPECT_TRUE(p.has(wrote, "put_applied " + session::seen_key(1))) << "in the same batch";
  EXPECT_EQ(p.done, Strings{"5"});
  EXPECT_EQ(p.box.core.sources[1].pending, 0u);
  EXPECT_EQ(p.box.clients.take(), Strings{"deliver t 5 q1 #1"});
}

TEST(PeerIntake, OneThatComesAgainIsAnsweredAndNotDelivered) {
  PartitionedIntake p;
  p.publish(1, 5);
  p.publish(1, 5);
  EXPECT_TRUE(p.done.empty()) << "the first one is not durable yet";
  p.box.commit();
  EXPECT_EQ(p.done, (Strings{"5", "5"}));
  p.publish(1, 4);
  EXPECT_EQ(p.done, (Strings{"5", "5", "4"})) << "at once";
  EXPECT_TRUE(p.box.commit().empty());
  EXPECT_EQ(p.box.clients.take().size(), 1u);
  EXPECT_EQ(p.box.probe.peer_doubled, 2u);
  EXPECT_EQ(p.box.probe.peer_received, 1u);
}

TEST(PeerIntake, PartitionsCountForThemselves) {
  PartitionedIntake p;
  p.publish(1, 5);
  p.publish(2, 5);
  p.box.commit();
  EXPECT_EQ(p.box.clients.take().size(), 2u);
}

TEST(PeerIntake, APartitionThatBeginsAnewCountsAnew) {
  PartitionedIntake p;
  p.publish(1, 5);
  p.box.commit();
  p.box.core.peer_intake.begin_source(1);
  p.publish(1, 1);
  p.box.commit();
  EXPECT_EQ(p.box.clients.take().size(), 2u);
}

TEST(PeerIntake, WhatHasKilledEnginesIsTakenAndReachesNobody) {
  PartitionedIntake p;
  p.box.core.peer_intake.skip({1, 5});
  p.publish(1, 5);
  const Strings wrote = p.box.commit();
  EXPECT_EQ(wrote, Strings{"put_applied " + session::seen_key(1)});
  EXPECT_EQ(p.done, Strings{"5"});
  EXPECT_TRUE(p.box.clients.take().empty());
  EXPECT_EQ(p.box.probe.peer_skipped, 1u);
  p.publish(2, 5);
  p.box.commit();
  EXPECT_EQ(p.box.clients.take().size(), 1u) << "another partition's";
}

TEST(PeerIntake, Qos0IsNotRemembered) {
  PartitionedIntake p;
  session::Channel& ch = p.box.client("volatile");
  p.box.core.subscriptions.add(*ch.session, "t", {0}, 0);
  p.publish(1, 0, {.qos = 0});
  EXPECT_EQ(p.box.clients.take(), (Strings{"deliver t 0 q0", "deliver t 0 q0"})) << "to both";
  EXPECT_TRUE(p.box.commit().empty());
  EXPECT_EQ(p.box.core.sources[1].taken, 0u);
}

TEST(PeerIntake, AMessageForOneGroupReachesNoOther) {
  PartitionedIntake p;
  session::Channel& ch = p.box.client("member", 600);
  p.box.core.subscriptions.add(*ch.session, "$share/g/t", {1}, 0);
  p.publish(1, 1, {.group = session::route_of_group("$share/g/t")});
  const Strings wrote = p.box.commit();
  EXPECT_EQ(std::count_if(wrote.begin(), wrote.end(),
                          [](const std::string& l) { return l.starts_with("append "); }),
            1);
  EXPECT_TRUE(p.has(wrote, "append " + std::to_string(ch.session->id.value)));
}

}  // namespace
}  // namespace berth::test
