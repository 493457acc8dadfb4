// The work of one turn is bounded (TurnBudget): filters and records of one packet, or of sessions
// that end together, and who comes in between.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

// -- filters of one packet

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

}  // namespace
}  // namespace berth::test
