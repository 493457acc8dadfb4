// Retained messages, ordered by topic.
#include "session/retained.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "protocol/mqtt/topic.h"
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

// -- what is kept

struct Counted {
  int count = 0;
  Retained retained{[this](std::string_view, int change) { count += change; }};
  bool put(const std::string& topic, std::uint64_t stamp = 0) {
    return retained.put(topic, MessagePtr(MessageView{.topic = topic, .payload = "x"}), stamp);
  }
};

TEST(Retained, OfTwoForATopicTheGreaterStampIsKeptHoweverTheyCome) {
  for (const bool newer_first : {true, false}) {
    Counted c;
    EXPECT_TRUE(c.put("t", newer_first ? 20 : 10));
    EXPECT_EQ(c.put("t", newer_first ? 10 : 20), !newer_first);
    EXPECT_EQ(c.retained.stamp_of("t"), 20u);
    EXPECT_EQ(c.retained.size(), 1u);
    EXPECT_EQ(c.count, 1);
  }
}

TEST(Retained, ARemovedOneLeavesItsStampForAWhile) {
  Counted c;
  c.put("t", 10);
  EXPECT_FALSE(c.retained.remove("t", 9, 1000)) << "older than what is there";
  EXPECT_TRUE(c.retained.remove("t", 20, 1000));
  EXPECT_EQ(c.count, 0);
  EXPECT_EQ(c.retained.size(), 0u);
  EXPECT_FALSE(c.put("t", 15)) << "it was said before the removal";
  EXPECT_TRUE(c.retained.old_tombstones(1000, 100, 100).empty());
  EXPECT_EQ(c.retained.old_tombstones(1001, 100, 100), std::vector<std::string>{"t"});
  EXPECT_TRUE(c.put("t", 15));
}

TEST(Retained, ATombstoneOfWhatIsRetainedAgainIsNone) {
  Counted c;
  c.retained.remove("t", 20, 1000);
  c.put("t", 30);
  EXPECT_TRUE(c.retained.old_tombstones(5000, 100, 100).empty());
  EXPECT_TRUE(c.retained.contains("t"));
}

TEST(Retained, TombstonesHaveABound) {
  Counted c;
  for (int i = 0; i < 10; ++i) c.retained.remove("t" + std::to_string(i), 1, 1000);
  EXPECT_EQ(c.retained.old_tombstones(0, 4, 3).size(), 3u) << "so many at once";
  EXPECT_EQ(c.retained.old_tombstones(0, 4, 100).size(), 3u) << "the oldest of more than 4";
  EXPECT_TRUE(c.retained.old_tombstones(0, 4, 100).empty());
}

TEST(Retained, WhoClaimsATopicKeepsOlderOnesOut) {
  Counted c;
  EXPECT_TRUE(c.retained.claim("t", 20));
  EXPECT_FALSE(c.retained.claim("t", 20));
  EXPECT_FALSE(c.put("t", 10));
  EXPECT_FALSE(c.retained.contains("t")) << "claimed and not put yet";
  EXPECT_TRUE(c.put("t", 20));
}

TEST(Retained, BytesAndNumberAreThoseOfWhatIsThere) {
  Counted c;
  for (int i = 0; i < 10; ++i) c.put("t" + std::to_string(i));
  c.put("t0");  // replaced
  EXPECT_EQ(c.retained.size(), 10u);
  EXPECT_EQ(c.count, 10);
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(c.retained.remove("t" + std::to_string(i)));
  EXPECT_FALSE(c.retained.remove("t0"));
  c.retained.forget("t9");
  c.retained.forget("t9");
  EXPECT_EQ(c.retained.size(), 0u);
  EXPECT_EQ(c.retained.bytes(), 0u);
  EXPECT_EQ(c.count, 0);
}

TEST(Retained, ExpiredOnesAreFoundInPartsRoundAndRound) {
  Counted c;
  for (int i = 0; i < 10; ++i) {
    const std::string topic = "t" + std::to_string(i);
    MessageView m{.topic = topic, .payload = "x"};
    if (i % 2 == 0) m.expires_at = {1000};
    c.retained.put(topic, MessagePtr(m), 7);
  }
  std::string after;
  EXPECT_TRUE(c.retained.expired({999}, after, 100).empty());
  EXPECT_EQ(after, "") << "at the end it begins anew";
  std::vector<std::string> found;
  for (int part = 0; part < 4; ++part) {
    for (const auto& e : c.retained.expired({1000}, after, 3)) {
      EXPECT_EQ(e.stamp, 7u);
      found.push_back(e.topic);
    }
  }
  EXPECT_EQ(found, (std::vector<std::string>{"t0", "t2", "t4", "t6", "t8"}));
  EXPECT_EQ(after, "");
}

}  // namespace
}  // namespace berth::test
