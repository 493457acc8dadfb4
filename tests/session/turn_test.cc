// The work of one turn is bounded (TurnBudget): what walks, trees of filters and PUBLISHes to many
// cost, and who comes in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <random>
#include <set>

#include "protocol/mqtt/topic.h"
#include "session/fair_queue.h"
#include "session/retained.h"
#include "session/router.h"
#include "session/topic_order.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using session::MessagePtr;
using session::MessageView;
using session::Retained;
using session::TurnBudget;

// -- walks over retained messages

struct Topics {
  Retained retained{[](std::string_view, int) {}};
  std::set<std::string> all;
  void put(const std::string& topic) {
    all.insert(topic);
    retained.put(topic, MessagePtr(MessageView{.topic = topic, .payload = "x", .forwarded = {}}));
  }
  // What a walk finds that pauses after every `steps`.
  std::vector<std::string> find(std::string_view filter, std::int64_t steps, int& pauses) const {
    std::vector<std::string> found;
    std::string after;
    for (;;) {
      TurnBudget budget;
      budget.begin_turn(steps);
      const Retained::Found f = retained.next(filter, after, budget);
      pauses += f.paused ? 1 : 0;
      if (f.paused) continue;
      if (f.message == nullptr) return found;
      found.emplace_back((*f.message)->view().topic);
      after = found.back();
    }
  }
};

TEST(RetainedWalk, FindsWhatTheFilterMatchesHoweverOftenItPauses) {
  std::mt19937 random(7);
  const auto level = [&](bool filter) -> std::string {
    static const std::vector<std::string> kLevels{"a", "b", "", "a-", "a0", "$x", "b b", "+"};
    return kLevels[random() % (filter ? 8 : 7)];
  };
  const auto path = [&](bool filter) {
    std::string s = level(filter);
    for (auto n = random() % 4; n != 0; --n) s += "/" + level(filter);
    if (filter && random() % 3 == 0) s = random() % 5 == 0 ? "#" : s + "/#";
    return s;
  };
  Topics t;
  for (int i = 0; i < 400; ++i) {
    const std::string topic = path(false);
    if (!topic.empty()) t.put(topic);
  }
  int pauses = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string filter = path(true);
    if (filter.empty()) continue;
    std::vector<std::string> expected;
    for (const std::string& topic : t.all) {
      if (protocol::mqtt::filter_matches(filter, topic)) expected.push_back(topic);
    }
    ASSERT_EQ(t.find(filter, 1'000'000, pauses), expected) << filter;
    ASSERT_EQ(t.find(filter, 1, pauses), expected) << filter;
  }
  EXPECT_GT(pauses, 1000);
}

TEST(RetainedWalk, PassesOverWhatCannotMatch) {
  Topics t;
  for (int site = 0; site < 100; ++site) {
    for (int i = 0; i < 200; ++i) t.put("s" + std::to_string(site) + "/x/" + std::to_string(i));
  }
  TurnBudget budget;
  budget.begin_turn();
  std::string after;
  EXPECT_EQ(t.retained.next("+/nothing/#", after, budget).message, nullptr);
  EXPECT_FALSE(budget.spent());
  budget.begin_turn(100 * 2 * (TurnBudget::kLook + TurnBudget::kSeek) + 20);
  EXPECT_EQ(t.retained.next("+/nothing/#", after, budget).message, nullptr);
  EXPECT_FALSE(budget.spent()) << "two looks for each of 100 sites, not 20,000";
}

TEST(RetainedWalk, OthersComeBetween) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  std::string all;
  for (int i = 0; i < 20'000; ++i)
    all += publish("d" + std::to_string(i) + "/x", "1", 0, 0, 5, true);
  w.feed(p, all);
  for (const bool clean : {true, false}) {
    const int s =
        w.open_connected({.client_id = "s", .clean = clean, .properties = expiry(clean ? 0 : 600)});
    w.packets(s);
    const std::uint64_t before = w.turns();
    w.feed(s, subscribe(1, "+/nothing", 1));
    EXPECT_GE(w.turns() - before, 3u) << "20,000 topics are more than a share";
    const auto got = w.packets(s);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].type, 9u);
    w.close(s);
  }
}

// -- the tree of filters

TEST(RouterWalk, IsBoundedWhateverFiltersThereAre) {
  session::Router router;
  std::vector<session::Session> sessions(1 << 16);
  for (std::uint32_t i = 0; i < sessions.size(); ++i) {
    sessions[i].id = {i + 1};
    std::string filter;
    for (int bit = 0; bit < 16; ++bit)
      filter += (bit == 0 ? "" : "/") + std::string((i >> bit & 1) != 0 ? "w" : "+");
    router.add(router.intern(filter), &sessions[i], "", {}, 0);
  }
  std::string topic = "w";
  for (int i = 1; i < 16; ++i) topic += "/w";
  router.match(topic);
  EXPECT_GT(router.visited(), session::Router::kNodesMax);
  EXPECT_LT(router.visited(), session::Router::kNodesMax * 2) << "what is left of the walk unwinds";
  router.match(topic);
  EXPECT_EQ(router.visited(), 0u) << "cached";
  EXPECT_EQ(router.match("w/w").targets.size(), 0u);
}

TEST(RouterWalk, OfATopicOf15LevelsIsWhole) {
  session::Router router;
  std::vector<session::Session> sessions(1 << 15);
  for (std::uint32_t i = 0; i < sessions.size(); ++i) {
    sessions[i].id = {i + 1};
    std::string filter;
    for (int bit = 0; bit < 15; ++bit)
      filter += (bit == 0 ? "" : "/") + std::string((i >> bit & 1) != 0 ? "w" : "+");
    router.add(router.intern(filter), &sessions[i], "", {}, 0);
  }
  std::string topic = "w";
  for (int i = 1; i < 15; ++i) topic += "/w";
  EXPECT_EQ(router.match(topic).targets.size(), sessions.size());
  EXPECT_LE(router.visited(), session::Router::kNodesMax);
}

// -- subscribers of one filter

// Whoever comes and goes, a filter has the subscribers it should have.
TEST(RouterCache, IsBoundedInBytes) {
  session::Router router(100'000);
  std::vector<session::Session> sessions(40);
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    for (const char* filter : {"a/+", "a/#", "+/+"})
      router.add(router.intern(filter), &sessions[i], "", {}, 1);
    for (int g = 0; g < 50; ++g)
      router.add(router.intern("a/+"), &sessions[i], "g" + std::to_string(g), {}, 1);
  }
  std::size_t most = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::string topic = "a/" + std::to_string(i) + std::string(1000, 'x');
    ASSERT_EQ(router.match(topic).targets.size(), 40u);
    ASSERT_EQ(router.match(topic).groups.size(), 50u);
    ASSERT_EQ(router.visited(), 0u) << "cached";
    most = std::max(most, router.cached_bytes());
    ASSERT_LE(router.cached_bytes(), session::Router::kCacheBytesMax);
    if (i == 10) {
      ASSERT_GT(router.cached_bytes() / 11, 40 * (sizeof(session::Target) + 3 * 4) + 50 * 8 + 1000)
          << "topic, targets, identifiers, groups";
    }
  }
  EXPECT_GT(most, session::Router::kCacheBytesMax / 4);
  const std::size_t before = router.cached_bytes();
  const std::string longer = "a/" + std::string(session::Router::kCachedTopicMax, 'y');
  EXPECT_EQ(router.match(longer).targets.size(), 40u);
  EXPECT_EQ(router.match(longer).targets.size(), 40u);
  EXPECT_NE(router.visited(), 0u) << "too long to be cached";
  EXPECT_EQ(router.cached_bytes(), before);
}

TEST(RouterFilter, IsWhatWasInterned) {
  session::Router router;
  for (const char* filter : {"a", "/", "a/b", "a//b", "/a", "a/", "+/long level/#", "//"})
    EXPECT_EQ(router.filter(router.intern(filter)), filter);
}

TEST(RouterEntries, AreThoseThatSubscribed) {
  session::Router router;
  std::vector<session::Session> sessions(200);
  std::map<session::Session*, std::uint8_t> expected;
  std::mt19937 random(11);
  for (int i = 0; i < 20'000; ++i) {
    session::Session* s = &sessions[random() % sessions.size()];
    const bool grows = i / 1000 % 2 == 0;  // between none and all
    const session::FilterId id = router.intern("a/b");
    if (random() % 4 != 0 ? grows : !grows) {
      const auto qos = static_cast<std::uint8_t>(random() % 3);
      ASSERT_EQ(router.add(id, s, "", {qos}, 0), expected.count(s) == 0);
      expected[s] = qos;
    } else {
      ASSERT_EQ(router.remove(id, s, ""), expected.erase(s) != 0);
    }
    if (i % 50 != 0) continue;
    std::map<session::Session*, std::uint8_t> found;
    for (const session::Target& t : router.match("a/b").targets) found[t.session] = t.options.qos();
    ASSERT_EQ(found, expected);
  }
}

TEST(RouterEntries, OfOneFilterAreFoundAtOnce) {
  session::Router router;
  std::vector<session::Session> sessions(100'000);
  const std::clock_t before = std::clock();
  for (auto& s : sessions) router.add(router.intern("all"), &s, "", {}, 0);
  for (auto& s : sessions) ASSERT_TRUE(router.remove(router.intern("all"), &s, ""));
  const double cpu_s = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(cpu_s, 2) << "one by one it is 10^10 steps";
  EXPECT_TRUE(router.match("all").empty());
}

TEST(RouterEntries, OfSharedGroupsAreCountedAsTheyAreLookedAt) {
  session::Router router;
  std::vector<session::Session> sessions(1000);
  for (auto& s : sessions) router.add(router.intern("x"), &s, "g", {}, 0);
  router.add(router.intern("x"), &sessions.back(), "g", {}, 0);
  EXPECT_GE(router.looked(), 1000u);
  router.remove(router.intern("x"), &sessions.back(), "g");
  EXPECT_GE(router.looked(), 1000u);
}

// -- filters of one packet

std::string subscribe_to(const std::vector<std::string>& filters, unsigned options) {
  std::string b = u16(1) + std::string(1, '\0');
  for (const std::string& f : filters) b += str(f) + static_cast<char>(options);
  return packet(0x82, b);
}

// Each group gets a copy of its own, so a PUBLISH of theirs is work for all.
TEST(Filters, OfOneThereAreSoManyGroups) {
  World w;
  const auto groups = [](int from) {
    std::vector<std::string> all;
    for (int i = 0; i < 600; ++i) all.push_back("$share/g" + std::to_string(from + i) + "/x");
    return all;
  };
  const int a = w.open_connected({.client_id = "a"});
  w.feed(a, subscribe_to(groups(0), 1));
  const int b = w.open_connected({.client_id = "b"});
  w.feed(b, subscribe_to(groups(300), 1) + subscribe_to(groups(600), 1));
  std::size_t granted = 0;
  std::size_t refused = 0;
  for (const int c : {a, b}) {
    for (const Packet& p : w.packets(c)) {
      if (p.type != 9) continue;
      const std::string codes = p.body.substr(3);
      granted += static_cast<std::size_t>(std::count(codes.begin(), codes.end(), '\x01'));
      refused += static_cast<std::size_t>(std::count(codes.begin(), codes.end(), '\x97'));
    }
  }
  EXPECT_EQ(granted, 600u + 600u + 400u);  // there are 0 to 999; b asks for 600 to 899 twice
  EXPECT_EQ(refused, 200u);
}

TEST(Filters, OfOnePacketAreLimited) {
  World w;
  const int s = w.open_connected({.client_id = "s"});
  w.packets(s);
  std::vector<std::string> filters;
  for (int i = 0; i < 1000; ++i) filters.push_back("f/" + std::to_string(i));
  w.feed(s, subscribe_to(filters, 0));
  ASSERT_EQ(w.packets(s).size(), 1u);
  filters.push_back("one/more");
  w.feed(s, subscribe_to(filters, 0));
  const auto got = w.packets(s);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].type, 14u);
  EXPECT_EQ(static_cast<unsigned char>(got[0].body[0]), 0x97) << "quota exceeded";
  EXPECT_TRUE(w.ended(s));
}

// The end of one session is one piece of work: it has at most 1,000 filters, 64 KiB of them (1 ms).
// Those of others are in other turns.
TEST(Filters, OfSessionsThatEndTogetherAreDroppedInSeveralTurns) {
  World w;
  std::vector<std::string> filters;
  for (int i = 0; i < 1000; ++i) filters.push_back("f/" + std::to_string(i));
  for (int i = 0; i < 30; ++i) {
    const int s = w.open_connected(
        {.client_id = "s" + std::to_string(i), .clean = false, .properties = expiry(60)});
    w.feed(s, subscribe_to(filters, 0));
    w.close(s);
  }
  const std::uint64_t before = w.turns();
  w.advance_s(61);
  EXPECT_EQ(w.broker().session_count(), 0u);
  EXPECT_GE(w.turns() - before, 25u);
}

// Records that are written while a commit is under way wait until a batch has room.
class Records : public testing::Test {
 protected:
  static constexpr int kN = 100;
  static constexpr std::size_t kBatchMax =
      2'500'000;  // room is 1 MiB, 16 of 64 KiB more are called
  static ConnectOptions as(int i) {
    return {.client_id = "s" + std::to_string(i), .clean = false, .properties = expiry(600)};
  }
  Records() {
    for (int i = 0; i < kN; ++i) {
      sessions.push_back(w.open_connected(as(i)));
      std::vector<std::string> filters;
      for (int k = 0; k < 60; ++k) filters.push_back(std::string(1000, 'f') + std::to_string(k));
      w.feed(sessions.back(), subscribe_to(filters, 0));
      w.packets(sessions.back());
    }
  }
  void expect_all(unsigned type) {
    EXPECT_GT(w.probe().commits, 0u);
    EXPECT_LT(w.largest_batch(), kBatchMax);
    for (const int s : sessions) {
      const auto got = w.packets(s);
      ASSERT_EQ(got.size(), 1u);
      ASSERT_EQ(got[0].type, type);
    }
  }
  World w;
  std::vector<int> sessions;
};

TEST_F(Records, OfSubscribesAreBoundedInABatch) {
  for (const bool adds : {true, false}) {
    w.hold_commits(true);
    const std::string said = adds ? subscribe(1, "one/more", 0) : unsubscribe(1, "one/more");
    for (const int s : sessions) w.feed(s, said);
    w.hold_commits(false);
    expect_all(adds ? 9 : 11);
  }
}

TEST_F(Records, OfConnectsAndEndsAreBoundedInABatch) {
  w.hold_commits(true);
  for (const int s : sessions) w.close(s);
  w.hold_commits(false);
  w.hold_commits(true);
  for (int i = 0; i < kN; ++i) sessions[static_cast<std::size_t>(i)] = w.open_connected(as(i));
  const int none = w.open_connected({.client_id = "no record"});
  EXPECT_EQ(w.packets(none).size(), 1u) << "it waits for nothing";
  w.hold_commits(false);
  expect_all(2);
  w.crash();
  for (const int s : sessions) w.feed(s, subscribe(1, "again", 0));
  expect_all(9);
}

TEST(RecordsOfWills, OfSessionsThatEndTogetherAreBoundedInABatch) {
  World other;
  for (int i = 0; i < 200; ++i) {
    ConnectOptions o{
        .client_id = "s" + std::to_string(i), .clean = false, .properties = expiry(60)};
    o.will_topic = "w";
    o.will_payload = std::string(50'000, 'w');
    o.will_properties = std::string("\x18\x00\x00\x00\x1e", 5);
    other.close(other.open_connected(o));
  }
  other.advance_s(61);
  EXPECT_EQ(other.probe().wills_published, 200u);
  EXPECT_EQ(other.broker().session_count(), 0u);
  EXPECT_LT(other.largest_batch(), 2'500'000u);
}

// A connection that ends while it waits goes; one that says more behind it is heard in order.
TEST_F(Records, WaitBehindOneAnotherAndEndWithTheirConnections) {
  w.hold_commits(true);
  for (const int s : sessions)
    w.send_and_close(s, subscribe(1, "said", 0) + publish("last", "words", 0));
  w.hold_commits(false);
  EXPECT_LT(w.largest_batch(), kBatchMax);
  EXPECT_EQ(w.broker().channel_count(), 0u);
  EXPECT_EQ(w.broker().session_count(), static_cast<std::size_t>(kN));
  EXPECT_EQ(w.probe().rx_qos0, static_cast<std::uint64_t>(kN));
}

// While the store takes nothing, whoever needs nothing of it comes and goes.
TEST(RecordsWait, ForTheStoreAndSessionsThatAreNotStoredDoNot) {
  World w;
  const int keeper = w.open_connected(
      {.client_id = "keeper", .clean = false, .properties = expiry(600)});
  w.feed(keeper, subscribe(1, "k", 1));
  const int p = w.open_connected({.client_id = "p"});
  const int gone = w.open_connected({.client_id = "gone"});
  const int replaced = w.open_connected({.client_id = "replaced"});
  w.hold_commits(true);
  for (unsigned id = 1; id <= 60; ++id)
    w.feed(p, publish("k", std::string(30'000, 'x'), 1, id));
  w.close(gone);
  EXPECT_EQ(w.broker().find_session("gone"), nullptr);
  const auto connacks = [&](int c) {
    std::size_t n = 0;
    for (const Packet& k : w.packets(c)) n += k.type == 2 ? 1 : 0;
    return n;
  };
  EXPECT_EQ(connacks(w.open_connected({.client_id = "gone"})), 1u);
  EXPECT_EQ(connacks(w.open_connected({.client_id = "replaced"})), 1u);
  EXPECT_TRUE(w.ended(replaced));
  const int stored =
      w.open_connected({.client_id = "new", .clean = false, .properties = expiry(600)});
  EXPECT_EQ(connacks(stored), 0u);
  w.close(keeper);
  w.hold_commits(false);
  EXPECT_EQ(connacks(stored), 1u);
  EXPECT_EQ(w.broker().find_session("keeper")->channel, nullptr);
}

TEST(Filters, NamedTwiceBringTheirRetainedMessagesOnce) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("r", "1", 0, 0, 5, true));
  const int s = w.open_connected({.client_id = "s"});
  w.packets(s);
  w.feed(s, subscribe_to({"r", "r", "#", "r"}, 0));
  EXPECT_EQ(take_publishes(w, s).size(), 2u);
}

TEST(Filters, WithRetainedMessagesUnderWayAreLimited) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("r", "1", 0, 0, 5, true));
  const int s = w.open_connected({.client_id = "s"});
  w.packets(s);
  w.set_writable(s, false);  // so the first one is under way
  std::vector<std::string> filters;
  for (int i = 0; i < 600; ++i) filters.push_back(i == 0 ? "r" : "f/" + std::to_string(i));
  w.feed(s, subscribe_to(filters, 0));
  w.feed(s, subscribe_to(filters, 0));
  const auto got = w.packets(s);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(std::count(got[0].body.begin(), got[0].body.end(), '\x97'), 0);
  EXPECT_EQ(std::count(got[1].body.begin(), got[1].body.end(), '\x97'), 200);
}

// The edge gets the place that a walk has come to when it has come further, not with each input.
TEST(Retained, TheCursorGoesToTheEdgeWhenItHasMoved) {
  World w;
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("r/1", "1", 0, 0, 5, true) + publish("r/2", "2", 0, 0, 5, true));
  const int s = w.open_connected({.client_id = "s"});
  w.set_writable(s, false);
  w.feed(s, subscribe(1, "r/#", 0));
  w.packets(s);
  EXPECT_NE(w.cookie_size(s), 0u);
  w.watch_cookies();
  for (int i = 0; i < 20; ++i) w.feed(s, from_hex("c0 00"));  // PINGREQ: the edge answers
  EXPECT_EQ(w.cookie_bytes(s), 0u);
  w.feed(s, subscribe(2, "r/1", 0));
  EXPECT_EQ(w.packets(s).size(), 1u) << "SUBACK";
  EXPECT_GT(w.cookie_bytes(s), 0u) << "one more filter";
  w.set_writable(s, true);
  std::vector<std::string> got;
  for (const Packet& k : w.packets(s)) got.push_back(k.payload(5));
  EXPECT_EQ(got, (std::vector<std::string>{"1", "2", "1"}));
}

// -- whose turn it is

TEST(FairQueue, OneItemOfOneKeyWaitsForOneOfEachOther) {
  session::FairQueue<int> q;
  for (int i = 0; i < 1000; ++i) q.push(1, i);
  q.push(2, 5000);
  q.push(3, 6000);
  EXPECT_EQ(q.size(), 1002u);
  std::vector<int> first;
  for (int i = 0; i < 4; ++i) first.push_back(q.pop());
  EXPECT_EQ(first, (std::vector<int>{0, 5000, 6000, 1}));
  int n = 0;
  for (; !q.empty(); ++n) q.pop();
  EXPECT_EQ(n, 998);
}

// -- PUBLISHes to many

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

}  // namespace
}  // namespace berth::test
