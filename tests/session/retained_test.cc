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

}  // namespace
}  // namespace berth::test
