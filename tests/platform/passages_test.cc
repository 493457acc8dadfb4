// What edges tell of engines that came and went: one entry of all edges, that outlives the engine,
// and its bounds.
#include "platform/passages.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace berth::platform {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

struct PassageRecords final : Records {
  std::map<std::string, std::string, std::less<>> all;
  void put(std::string_view key, std::string_view value) override { all[std::string(key)] = value; }
  void remove(std::string_view key) override { all.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
};

pb::PassageTold told(std::uint64_t edge, std::uint64_t number, std::uint64_t process,
                     PassageKind what = PassageKind::killed) {
  pb::PassageTold t;
  t.set_what(static_cast<std::uint32_t>(what));
  t.set_of("engine " + std::to_string(process));
  t.set_process(process);
  t.set_ended_ago_ms(1000);
  t.set_lasted_ms(300);
  t.mutable_part()->set_edge(edge);
  t.mutable_part()->set_number(number);
  t.mutable_part()->set_held(10);
  return t;
}
bool tell(Passages& p, const pb::PassageTold& t, std::int64_t wall_ms = kNow) {
  return p.told(t.SerializeAsString(), wall_ms);
}
pb::PassagesAnswer list(const Passages& p, std::int64_t from_ms = 0) {
  pb::PassagesQuestion q;
  q.set_from_ms(from_ms);
  pb::PassagesAnswer a;
  EXPECT_TRUE(a.ParseFromString(p.answer(q.SerializeAsString())));
  return a;
}

TEST(StoredPassages, EdgesTellOfOneAndItOutlivesTheEngine) {
  PassageRecords r;
  Passages p(r);
  EXPECT_TRUE(tell(p, told(1, 1, 7)));
  EXPECT_TRUE(tell(p, told(2, 1, 7, PassageKind::poison), kNow + 400));
  EXPECT_TRUE(tell(p, told(1, 1, 7), kNow + 400)) << "the answer was lost: told again";
  Passages next(r);
  for (const auto& [key, value] : r.all) {
    ASSERT_TRUE(Passages::is_key(key));
    next.restored(key, value);
  }
  pb::PassagesAnswer a = list(next);
  ASSERT_EQ(a.items_size(), 1);
  EXPECT_EQ(a.items(0).parts_size(), 2);
  EXPECT_EQ(a.items(0).begin_ms(), kNow - 1300);
  EXPECT_EQ(a.items(0).end_ms(), kNow - 600) << "of the last edge";
  EXPECT_STREQ(name_of_passage(a.items(0).what()), "poison") << "one edge knows more";
  // And the rest, minutes later.
  pb::PassageTold late = told(2, 1, 7);
  late.mutable_part()->set_late(3);
  EXPECT_TRUE(tell(next, late, kNow + 300'000));
  a = list(next);
  ASSERT_EQ(a.items_size(), 1);
  EXPECT_EQ(a.items(0).parts(1).late(), 3u);
  EXPECT_FALSE(a.items(0).parts(0).has_late());
  EXPECT_EQ(list(next, kNow + 600'000).items_size(), 0);
}

TEST(StoredPassages, TwoOfOneProcessAndTwoProcessesAreTwo) {
  PassageRecords r;
  Passages p(r);
  tell(p, told(1, 1, 7, PassageKind::link));
  tell(p, told(1, 2, 7, PassageKind::link), kNow + 2000);
  EXPECT_EQ(list(p).items_size(), 2) << "one edge has met both";
  tell(p, told(1, 3, 8), kNow + 2500);
  EXPECT_EQ(list(p).items_size(), 3);
}

TEST(StoredPassages, AreBoundedInNumberAgeAndSize) {
  PassageRecords r;
  Passages p(r);
  for (std::uint64_t i = 0; i < Passages::kKept + 50; ++i)
    EXPECT_TRUE(tell(p, told(1, i, i + 1), kNow + static_cast<std::int64_t>(i) * 60'000));
  EXPECT_EQ(list(p).items_size(), static_cast<int>(Passages::kKept));
  EXPECT_EQ(r.all.size(), Passages::kKept);
  EXPECT_EQ(list(p).items(0).process(), Passages::kKept + 50) << "the newest first";
  p.tick(kNow + Passages::kAge_ms + 365 * 60'000);
  EXPECT_TRUE(r.all.empty());

  for (std::uint64_t edge = 1; edge <= 100; ++edge) tell(p, told(edge, 1, 7));
  const pb::PassagesAnswer one = list(p);
  ASSERT_EQ(one.items_size(), 1);
  std::uint64_t held = 0;
  for (const auto& part : one.items(0).parts()) held += part.held();
  EXPECT_EQ(one.items(0).parts_size(), Passages::kPartsMax);
  EXPECT_EQ(held, 1000u) << "what has no place of its own is added";
  pb::PassageTold bad = told(1, 2, 9);
  bad.set_of(std::string(1000, 'x'));
  EXPECT_FALSE(tell(p, bad));
  bad = told(1, 2, 9);
  bad.set_ended_ago_ms(-5);
  EXPECT_FALSE(tell(p, bad));
  EXPECT_FALSE(p.told("\xff\xff", kNow));
}

TEST(StoredPassages, LateCommandsAreCountedWithinATime) {
  PassageRecords r;
  Passages p(r);
  for (const std::int64_t ago : {20'000, 6'000, 6'000, 3'000, 0}) p.late(kNow - ago);
  const auto count = [&p](std::int64_t from_ago, std::int64_t to_ago) {
    pb::LateQuestion q;
    q.set_from_ago_ms(from_ago);
    q.set_to_ago_ms(to_ago);
    pb::LateAnswer a;
    EXPECT_TRUE(a.ParseFromString(p.answer_late(q.SerializeAsString(), kNow)));
    return a.commands();
  };
  EXPECT_EQ(count(7'000, 2'000), 3u);
  EXPECT_EQ(count(60'000, 0), 5u);
  EXPECT_EQ(count(15'000, 10'000), 0u);
  for (std::int64_t i = 1; i <= 2000; ++i) p.late(kNow + i * 1000);
  EXPECT_EQ(count(0, -2'000'000), Passages::kMoments) << "the oldest go";
}

}  // namespace
}  // namespace berth::platform
