// PUBLISHes to many receivers, a part in each turn.
#include "session/wide_fanouts.h"

#include <gtest/gtest.h>

#include "session/fanout_places.h"
#include "tests/support/core_box.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

TEST(FanoutPlaces, OneHasAQuarterOfThem) {
  session::FanoutPlaces places;
  for (std::size_t i = 0; i < session::FanoutPlaces::kOfOne; ++i) {
    EXPECT_TRUE(places.has_place(1));
    places.enter(1);
  }
  EXPECT_FALSE(places.has_place(1));
  for (std::uint64_t key = 2; key < 5; ++key) {
    for (std::size_t i = 0; i < session::FanoutPlaces::kOfOne; ++i) {
      EXPECT_TRUE(places.has_place(key));
      places.enter(key);
    }
  }
  EXPECT_FALSE(places.has_place(5)) << "all are taken";
  places.leave(2);
  EXPECT_TRUE(places.has_place(5));
  EXPECT_FALSE(places.has_place(1));
}

TEST(Fanout, ManyReceiversGetItOnceOverManyTurns) {
  for (const unsigned qos : {0u, 1u, 2u}) {
    World w;
    constexpr int kN = 2500;
    std::vector<int> subscribers;
    for (int i = 0; i < kN; ++i) {
      const bool clean = i % 2 == 0;
      const int s = w.open_connected({.client_id = "s" + std::to_string(i),
                                      .clean = clean,
                                      .properties = expiry(clean ? 0 : 600)});
      w.feed(s, subscribe(1, "t", i % 3 == 0 ? 0 : 2));
      w.packets(s);
      subscribers.push_back(s);
    }
    const int p = w.open_connected({.client_id = "p"});
    w.packets(p);
    w.feed(p, publish("t", "1", qos, 1) + publish("t", "2", qos, 2));
    for (const int s : subscribers) {
      std::vector<std::string> got;
      for (const Packet& k : w.packets(s)) {
        if (k.type == 3) got.push_back(k.payload(5));
      }
      ASSERT_EQ(got, (std::vector<std::string>{"1", "2"})) << "qos " << qos;
    }
    EXPECT_EQ(w.packets(p).size(), qos == 0 ? 0u : 2u);
  }
}

TEST(Fanout, BytesOfABatchAreBounded) {
  World w;
  std::vector<int> subscribers;
  for (int i = 0; i < 40; ++i) {
    const int s = w.open_connected(
        {.client_id = "s" + std::to_string(i), .clean = false, .properties = expiry(600)});
    w.feed(s, subscribe(1, "t", 1));
    w.close(s);
  }
  const int p = w.open_connected({.client_id = "p"});
  w.packets(p);
  const std::uint64_t before = w.probe().commits;
  w.feed(p, publish("t", std::string(500'000, 'x'), 1, 1));
  EXPECT_EQ(w.packets(p).size(), 1u);
  EXPECT_GE(w.probe().commits - before, 12u) << "20 MB, about 1 MB in each batch";
  EXPECT_EQ(w.probe().queued, 40u);
}

TEST(Fanout, BytesOfABatchAreBoundedForSharedGroups) {
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(600)});
  std::vector<std::string> filters;
  for (int i = 0; i < 40; ++i) filters.push_back("$share/g" + std::to_string(i) + "/t");
  w.feed(s, subscribe_to(filters, 1));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  w.packets(p);
  w.feed(p, publish("t", std::string(200'000, 'x'), 1, 1));
  EXPECT_EQ(w.packets(p).size(), 1u);
  EXPECT_EQ(w.probe().queued, 40u);
  EXPECT_LT(w.largest_batch(), 1'500'000u) << "8 MB, 1 MiB in each batch";
}

// One member of a group is one receiver, however many there are to choose from.
TEST(Fanout, IsNotOneForTheMembersOfAGroup) {
  World w;
  for (int i = 0; i < 2500; ++i) {
    const int s = w.open_connected({.client_id = "s" + std::to_string(i)});
    w.feed(s, subscribe(1, "$share/g/t", 0));
  }
  const int p = w.open_connected({.client_id = "p"});
  w.packets(p);
  const std::uint64_t before = w.turns();
  w.feed(p, publish("t", "x", 1, 1));
  EXPECT_EQ(w.packets(p).size(), 1u);
  EXPECT_LE(w.turns() - before, 4u);
}

// A QoS 2 message of several batches comes to each group once, wherever the engine dies.
TEST(Fanout, ToSharedGroupsIsExactlyOnceWhereverTheEngineDies) {
  constexpr int kGroups = 8;
  for (int at = 0;; ++at) {
    World w({}, at);
    std::vector<int> members;
    for (int i = 0; i < 2 * kGroups; ++i) {  // of each group one with a queue, one without
      members.push_back(w.open_connected({.client_id = "m" + std::to_string(i),
                                          .clean = i % 2 == 0,
                                          .properties = expiry(i % 2 == 0 ? 0 : 600)}));
      w.feed(members.back(), subscribe(1, "$share/g" + std::to_string(i / 2) + "/t", 2));
    }
    const int plain = w.open_connected({.client_id = "x", .clean = false, .properties = expiry(9)});
    w.feed(plain, subscribe(1, "t", 2));
    const int p = w.open_connected({.client_id = "p"});
    w.feed(p, publish("t", std::string(300'000, 'x'), 2, 1));
    const auto copies = [&w](int c) {
      int n = 0;
      for (const Packet& k : w.packets(c)) n += k.type == 3 && !k.dup() ? 1 : 0;
      return n;
    };
    EXPECT_EQ(copies(plain), 1) << "engine death at boundary " << at;
    for (std::size_t g = 0; g < kGroups; ++g)
      EXPECT_EQ(copies(members[2 * g]) + copies(members[2 * g + 1]), 1)
          << "group " << g << ", engine death at boundary " << at;
    if (!w.crashed() || HasFailure()) break;
  }
}

// -- the room alone

TEST(WideFanouts, AreMessagesToManyOrOfManyBytes) {
  using session::Fanout;
  using session::WideFanouts;
  session::Match m;
  m.targets.resize(2);
  EXPECT_FALSE(WideFanouts::is_fanout(m, 1, Fanout::kBytes / 2));
  EXPECT_TRUE(WideFanouts::is_fanout(m, 1, Fanout::kBytes / 2 + 1));
  EXPECT_FALSE(WideFanouts::is_fanout(m, 0, Fanout::kBytes)) << "of QoS 0 nothing is stored";
  m.targets.resize(1);
  EXPECT_FALSE(WideFanouts::is_fanout(m, 1, Fanout::kBytes * 2)) << "one receiver";
  m.targets.resize(Fanout::kReceivers);
  EXPECT_FALSE(WideFanouts::is_fanout(m, 0, 1));
  m.targets.resize(Fanout::kReceivers + 1);
  EXPECT_TRUE(WideFanouts::is_fanout(m, 0, 1));
}

TEST(WideFanouts, APublisherWithoutAPlaceIsOfferedItsTurnAgain) {
  CoreBox box;
  session::Channel& ch = box.client("p");
  ch.fair_key = 7;
  EXPECT_TRUE(box.core.wide_fanouts.may_begin(ch));
  for (std::size_t i = 0; i < session::FanoutPlaces::kOfOne; ++i) box.core.fanouts.enter(7);
  EXPECT_FALSE(box.core.wide_fanouts.may_begin(ch));
  EXPECT_EQ(box.effects.resumed, std::vector<base::ConnId>{ch.conn});
  box.core.fanouts.leave(7);
  EXPECT_TRUE(box.core.wide_fanouts.may_begin(ch));
  ch.pending = 1;
  EXPECT_FALSE(box.core.wide_fanouts.may_begin(ch)) << "behind its own commits";
  EXPECT_TRUE(ch.stalled);
}

TEST(WideFanouts, ALinkThatBrokeLeavesItsPlaces) {
  CoreBox box;
  session::Channel& ch = box.client("p", 0, 1);
  ch.fair_key = 7;
  session::Deferred d;
  d.conn = ch.conn;
  d.message = session::MessagePtr(message("t", "m", 2));
  session::Delivery delivery{.message = d.message->view(), .owned = d.message, .publisher = {}};
  box.core.wide_fanouts.begin(box.core.router.match("t"), delivery, std::move(d), {});
  EXPECT_TRUE(box.core.wide_fanouts.has_unstaged(ch));
  for (std::size_t i = 1; i < session::FanoutPlaces::kOfOne; ++i) box.core.fanouts.enter(7);
  EXPECT_FALSE(box.core.fanouts.has_place(7));
  box.core.wide_fanouts.drop_link(0);
  EXPECT_FALSE(box.core.fanouts.has_place(7));
  box.core.wide_fanouts.drop_link(1);
  EXPECT_TRUE(box.core.fanouts.has_place(7));
  EXPECT_FALSE(box.core.wide_fanouts.has_unstaged(ch));
}

TEST(WideFanouts, AQos2MessageGoesOnBehindThoseWhoHaveIt) {
  CoreBox box;
  std::vector<base::SessionId> ids;
  for (int i = 0; i < 4; ++i) {
    session::Session& s = box.session("s" + std::to_string(i), 600);
    box.core.subscriptions.add(s, "t", {2}, 0);
    ids.push_back(s.id);
  }
  session::Channel& ch = box.client("p");
  session::Deferred d;
  d.conn = ch.conn;
  d.message = session::MessagePtr(message("t", "m", 2));
  session::Delivery delivery{.message = d.message->view(), .owned = d.message, .publisher = {}};
  box.core.wide_fanouts.begin(box.core.router.match("t"), delivery, std::move(d),
                              {.session = ids[1].value, .route = UINT32_MAX});
  box.cx.budget.begin_turn();
  box.core.wide_fanouts.stage_some(box.now);
  Strings appended;
  for (const std::string& line : box.commit())
    if (line.starts_with("append ")) appended.push_back(line);
  EXPECT_EQ(appended, (Strings{"append " + std::to_string(ids[2].value) + " 1",
                               "append " + std::to_string(ids[3].value) + " 1"}));
}

}  // namespace
}  // namespace berth::test
