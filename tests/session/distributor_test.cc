// Who gets a message.
#include "session/distributor.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/core_box.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

TEST(Shared, EachMessageGoesToOneMember) {  // 4.8.2
  World w;
  std::vector<int> subs;
  for (int i = 0; i < 3; ++i) {
    subs.push_back(w.open_connected({.client_id = "s" + std::to_string(i)}));
    w.feed(subs.back(), subscribe(1, "$share/g/t/#", 1));
    w.packets(subs.back());
  }
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 9; ++i) w.feed(p, publish("t/x", "m", 1, i));
  std::size_t total = 0;
  for (const int s : subs) {
    const std::size_t n = payloads(w.packets(s)).size();
    EXPECT_EQ(n, 3u);
    total += n;
  }
  EXPECT_EQ(total, 9u);
}

// -- the room alone

using session::Channel;
using session::Delivery;

struct Group {
  CoreBox box;
  std::vector<Channel*> members;
  explicit Group(int n, std::uint32_t expiry_s = 0) {
    for (int i = 0; i < n; ++i) {
      members.push_back(&box.client("m" + std::to_string(i), expiry_s));
      box.core.subscriptions.add(*members.back()->session, "$share/g/t", {1}, 0);
    }
  }
  session::Session* pick(const Delivery& d = {}) {
    session::SubOptions options;
    std::uint32_t id = 0;
    return box.core.distributor.pick(*box.core.router.match("t").groups.at(0), d, options, id);
  }
};

TEST(Distributor, MembersOfAGroupTakeTurns) {
  Group g(3);
  std::vector<session::Session*> picked;
  for (int i = 0; i < 6; ++i) picked.push_back(g.pick());
  EXPECT_EQ(std::set(picked.begin(), picked.end()).size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(picked[i], picked[i + 3]);
}

TEST(Distributor, AMemberThatCanTakeMoreComesBeforeOneThatCannot) {
  Group g(3, 600);
  g.members[0]->waiting_room = true;
  g.members[1]->receive_maximum = 1;
  session::outbox(*g.members[1]->session).inflight = 1;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(g.pick(), g.members[2]->session);
  session::Session& away = *g.members[2]->session;
  g.box.core.sessions.offline(away, session::Offline::device);
  EXPECT_NE(g.pick(), nullptr) << "else one with a queue";
}

TEST(Distributor, OfAGroupWithoutAQueueOrAConnectionNobodyIsChosen) {
  Group g(1);
  g.members[0]->state = Channel::State::closing;
  EXPECT_EQ(g.pick(), nullptr);
}

TEST(Distributor, NoLocalKeepsAMessageFromItsPublisherOnly) {
  CoreBox box;
  session::Session& s = box.session("c");
  session::Target t{.session = &s, .options = {4}, .ids = {}};
  Delivery d{.message = message("t", "m"), .owned = {}, .publisher = s.id};
  EXPECT_FALSE(session::Distributor::takes(t, d));
  d.publisher = {s.id.value + 1};
  EXPECT_TRUE(session::Distributor::takes(t, d));
  t.options = {};
  d.publisher = s.id;
  EXPECT_TRUE(session::Distributor::takes(t, d));
}

TEST(Distributor, OnlyWhatMustSurviveTheEngineIsStaged) {
  for (const bool replay : {true, false}) {
    CoreBox box({}, replay);
    Channel& publisher = box.client("p");
    const auto needs = [&](std::uint8_t qos) {
      Delivery d{.message = message("t", "m", qos),
                 .owned = {},
                 .publisher = publisher.session->id,
                 .origin = publisher.conn};
      return box.core.distributor.needs_staging(box.core.router.match("t"), d);
    };
    Channel& near = box.client("near");
    box.core.subscriptions.add(*near.session, "t", {1}, 0);
    EXPECT_FALSE(needs(1)) << "its copy leaves with the acknowledgement";
    Channel& far = box.client("far", 0, 1);
    box.core.subscriptions.add(*far.session, "t", {1}, 0);
    EXPECT_EQ(needs(1), replay) << "in another frame than the acknowledgement";
    EXPECT_FALSE(needs(0));
    box.core.subscriptions.remove(*far.session, "t");
    near.receive_maximum = 1;
    session::outbox(*near.session).inflight = 1;  // no place in its window
    EXPECT_EQ(needs(1), replay);
    near.receive_maximum = 10;
    Channel& stored = box.client("stored", 600);
    box.core.subscriptions.add(*stored.session, "t", {0}, 0);
    EXPECT_FALSE(needs(1)) << "QoS 0 is enough for it";
    box.core.subscriptions.add(*stored.session, "t", {1}, 0);
    EXPECT_TRUE(needs(1));
  }
}

TEST(Distributor, Qos0ToAnotherEdgeLeavesWhenThePublishersEdgeHasItsTurn) {
  CoreBox box;
  Channel& publisher = box.client("p");
  Channel& near = box.client("near");
  Channel& far = box.client("far", 0, 1);
  for (Channel* ch : {&near, &far}) box.core.subscriptions.add(*ch->session, "t", {0}, 0);
  Delivery d{.message = message("t", "m"),
             .owned = {},
             .publisher = publisher.session->id,
             .origin = publisher.conn};
  box.effects.turn = 7;
  box.core.distributor.deliver(box.core.router.match("t"), d, nullptr, box.now);
  EXPECT_EQ(box.clients.take().size(), 1u) << "the near one";
  EXPECT_TRUE(box.core.distributor.has_late());
  EXPECT_FALSE(box.core.distributor.accepted(0, 6, box.now));
  EXPECT_FALSE(box.core.distributor.accepted(1, 9, box.now)) << "the receiver's edge says nothing";
  EXPECT_TRUE(box.clients.take().empty());
  EXPECT_TRUE(box.core.distributor.accepted(0, 7, box.now));
  EXPECT_EQ(box.clients.take(), Strings{"deliver t m q0"});
  EXPECT_FALSE(box.core.distributor.has_late());
  EXPECT_FALSE(box.core.distributor.accepted(9, 1, box.now)) << "no such link";
}

TEST(Distributor, Qos0ThatWaitsForAnEdgeHasABound) {
  CoreBox box;
  Channel& publisher = box.client("p");
  Channel& far = box.client("far", 0, 1);
  box.core.subscriptions.add(*far.session, "t", {0}, 0);
  for (int i = 0; i < 100'010; ++i) {
    Delivery d{.message = message("t", "m"),
               .owned = {},
               .publisher = publisher.session->id,
               .origin = publisher.conn};
    box.core.distributor.deliver(box.core.router.match("t"), d, nullptr, box.now);
  }
  EXPECT_EQ(box.core.connections.edges()[0].late.size(), 100'000u);
  EXPECT_EQ(box.probe.drop_slow_qos0, 10u);
}

}  // namespace
}  // namespace berth::test
