// Sites at a glance: counts that follow presence, states that outlive the engine, and their bounds.
#include "platform/board.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "platform/departures.h"

namespace berth::platform {
namespace {

// What has been put is there at once.
struct KeptRecords final : Records {
  std::map<std::string, std::string, std::less<>> all;
  void put(std::string_view key, std::string_view value) override {
    all[std::string(key)] = value;
    ++puts;
  }
  void remove(std::string_view key) override { all.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  int puts = 0;
};

StateReport barrier(v1::BarrierPosition position, std::string part = "1") {
  return {.type = "barrier",
          .part = std::move(part),
          .state = static_cast<std::uint32_t>(position),
          .body = "{\"position\":" + std::to_string(position) + "}"};
}
pb::BoardAnswer::Site shown(const Board& b, std::string_view tenant, std::string_view site) {
  pb::BoardAnswer::Site out;
  if (const Board::Site* s = b.find(tenant, site)) Board::fill(*s, out);
  return out;
}

TEST(Board, CountsDevicesAndSaysWhichSitesHaveChanged) {
  KeptRecords r;
  Board b(r);
  const Board::Place north = b.place_of("acme", "north");
  EXPECT_EQ(b.place_of("acme", "north"), north);
  EXPECT_NE(b.place_of("acme", "south"), north);
  EXPECT_EQ(b.place_of("", "north"), 0u) << "of a client that is not registered";
  b.count(north, true, Cause::none, 1);
  const std::uint64_t seen = b.version();
  EXPECT_TRUE(b.changed(seen).empty());
  b.count(north, true, Cause::none, -1);
  b.count(north, false, Cause::keep_alive, 1);
  ASSERT_EQ(b.changed(seen).size(), 1u);
  EXPECT_EQ(shown(b, "acme", "north").online(), 0u);
  EXPECT_EQ(shown(b, "acme", "north").offline(static_cast<int>(Cause::keep_alive)), 1u);
  b.count(0, true, Cause::none, 1);  // of nothing
  EXPECT_FALSE(b.is_whole(seen));
  b.touch_all();
  EXPECT_TRUE(b.is_whole(seen));
  EXPECT_TRUE(b.is_whole(b.version() + 1)) << "another engine's count";
}

TEST(Board, AStateIsStoredWhenItChangesAndOutlivesTheEngine) {
  KeptRecords r;
  {
    Board b(r);
    b.reported("acme", "north", "gate", barrier(v1::CLOSED), 1000);
    b.reported("acme", "north", "gate", barrier(v1::CLOSED), 2000);
    EXPECT_EQ(r.puts, 1) << "it says the same again";
    b.reported("acme", "north", "gate", barrier(v1::OPEN), 3000);
    EXPECT_EQ(r.puts, 2);
    pb::TwinCommand c;
    c.set_id("c-1");
    c.set_state("HANDED");
    b.commanded("acme", "north", "gate", c, false);
    EXPECT_EQ(r.puts, 2) << "one that is on its way is not stored";
    c.set_state("SUCCEEDED");
    b.commanded("acme", "north", "gate", c, true);
  }
  Board next(r);
  for (const auto& [key, value] : r.all) {
    ASSERT_TRUE(Board::is_key(key));
    next.restored(key, value);
  }
  const auto site = shown(next, "acme", "north");
  ASSERT_EQ(site.lanes_size(), 1);
  EXPECT_EQ(site.lanes(0).position(), static_cast<unsigned>(v1::OPEN));
  EXPECT_EQ(site.lanes(0).since_ms(), 3000);
  EXPECT_EQ(site.lanes(0).command().state(), "SUCCEEDED");
  next.forget(r.all.begin()->first);
  EXPECT_EQ(shown(next, "acme", "north").lanes_size(), 0);
}

TEST(Board, ALateResultOrAPersonSettlesTheNewestCommandOnly) {
  KeptRecords r;
  Board b(r);
  pb::TwinCommand c;
  c.set_id("c-2");
  c.set_state("UNCERTAIN");
  b.commanded("acme", "north", "gate", c, true);
  const std::uint64_t seen = b.version();
  b.settled("acme", "gate", "c-1", "CLOSED");
  b.settled("acme", "other", "c-2", "CLOSED");
  EXPECT_TRUE(b.changed(seen).empty()) << "an older command, and another device";
  b.settled("acme", "gate", "c-2", "CLOSED");
  EXPECT_EQ(b.changed(seen).size(), 1u);
  EXPECT_EQ(shown(b, "acme", "north").lanes(0).command().state(), "CLOSED");
  EXPECT_EQ(r.puts, 2) << "it outlives the engine";
}

TEST(Board, ADeviceAtAnotherSiteLeavesTheOneBefore) {
  KeptRecords r;
  Board b(r);
  b.reported("acme", "north", "gate", barrier(v1::OPEN), 1);
  b.reported("acme", "south", "gate", barrier(v1::OPEN), 2);
  EXPECT_EQ(shown(b, "acme", "north").lanes_size(), 0);
  EXPECT_EQ(shown(b, "acme", "south").lanes_size(), 1);
  b.removed("acme", "gate");
  EXPECT_EQ(shown(b, "acme", "south").lanes_size(), 0);
  EXPECT_TRUE(r.all.empty());
}

TEST(Board, AlarmsEndAndPartsAreBounded) {
  KeptRecords r;
  Board b(r);
  StateReport alarm{.type = "alarm", .part = "smoke", .state = 2, .body = "{}"};
  b.reported("acme", "north", "gate", alarm, 1);
  EXPECT_EQ(shown(b, "acme", "north").alarms(), 1u);
  alarm.ended = true;
  b.reported("acme", "north", "gate", alarm, 2);
  b.reported("acme", "north", "gate", alarm, 3);
  EXPECT_EQ(shown(b, "acme", "north").alarms(), 0u);
  alarm = {.type = "alarm", .part = "fire", .state = v1::CRITICAL, .body = "{}"};
  b.reported("acme", "north", "gate", alarm, 4);
  for (int i = 0; i < 100; ++i) {
    b.reported("acme", "north", "gate", barrier(v1::OPEN, std::to_string(i)), 10 + i);
    b.reported("acme", "north", "gate",
               {.type = "alarm", .part = std::to_string(i), .state = v1::MINOR, .body = "{}"},
               10 + i);
  }
  EXPECT_EQ(b.twin("acme", "gate")->parts_size(), 2 * Board::kPartsMax);
  const auto& parts = b.twin("acme", "gate")->parts();
  EXPECT_TRUE(std::any_of(parts.begin(), parts.end(), [](const auto& p) {
    return p.part() == "fire";
  })) << "what matters more stays";
  b.reported("acme", "north", "gate",
             {.type = "barrier", .part = "1", .state = 1, .body = std::string(5000, 'x')}, 500);
  for (const auto& p : b.twin("acme", "gate")->parts()) EXPECT_LE(p.body().size(), Board::kBodyMax);
  const int puts = r.puts;
  b.reported("acme", "north", "gate",
             {.type = "barrier", .part = "1", .state = 1, .body = std::string(5000, 'x')}, 501);
  EXPECT_EQ(r.puts, puts) << "one that is too long says the same again, too";
}

TEST(Departures, AreCountedForFiveMinutesAndForgottenAfterThreeDays) {
  KeptRecords r;
  Departures d(r);
  const std::int64_t t = 1'000'000'000'000 / Departures::kEvery_ms * Departures::kEvery_ms;
  Visit v{.tenant = "acme", .site = "north", .device = "cam"};
  v.address = "10.1.2.3:1000";
  for (int i = 0; i < 3; ++i) d.ended(v, "1.2", Cause::keep_alive, t + i);
  d.ended(v, "1.3", Cause::gateway, t + Departures::kEvery_ms);
  const auto asked = [](const Departures& all, const std::string& tenant, std::int64_t from) {
    pb::DeparturesQuestion q;
    q.set_tenant(tenant);
    q.set_from_ms(from);
    pb::DeparturesAnswer a;
    EXPECT_TRUE(a.ParseFromString(all.answer(q.SerializeAsString())));
    return a;
  };
  d.tick(t + Departures::kEvery_ms + 1);
  ASSERT_EQ(asked(d, "acme", 0).items_size(), 2);
  const auto first = asked(d, "acme", 0).items(0).sites(0);
  EXPECT_EQ(first.causes(static_cast<int>(Cause::keep_alive)), 3u);
  EXPECT_EQ(first.firmwares(0).name(), "1.2");
  EXPECT_EQ(first.ranges(0).name(), "10.1.0.0/16");
  EXPECT_EQ(asked(d, "acme", t + 1).items_size(), 1);
  EXPECT_EQ(asked(d, "other", 0).items(0).sites_size(), 0);
  Departures next(r);
  for (const auto& [key, value] : r.all) {
    ASSERT_TRUE(Departures::is_key(key));
    next.restored(key, value);
  }
  EXPECT_EQ(asked(next, "acme", 0).SerializeAsString(), asked(d, "acme", 0).SerializeAsString());
  Departures left(r);
  for (const auto& [key, value] : r.all) left.restored(key, value);
  left.removed_tenant("acme");
  EXPECT_EQ(asked(left, "acme", 0).items(0).sites_size(), 0) << "the next one of its name";
  next.tick(t + 4 * std::int64_t{86'400'000});
  EXPECT_EQ(asked(next, "acme", 0).items_size(), 0);
  EXPECT_TRUE(r.all.empty());
}

TEST(Departures, AddressesBecomeRanges) {
  EXPECT_EQ(range_of("192.0.2.7:40112"), "192.0.0.0/16");
  EXPECT_EQ(range_of("[2001:db8::7]:1"), "2001:db8::/32");
  EXPECT_EQ(range_of("nonsense"), "");
  EXPECT_EQ(range_of("a:b"), "");
}

}  // namespace
}  // namespace berth::platform
