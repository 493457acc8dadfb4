// One immediate command of a part at a time: the locks, and their records.
#include "platform/part_locks.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace berth::platform {
namespace {

struct LockStore final : Records {
  void put(std::string_view key, std::string_view value) override {
    all[std::string(key)] = std::string(value);
  }
  void remove(std::string_view key) override { all.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  std::map<std::string, std::string> all;
};

Entry open_of(const std::string& id) {
  Entry e;
  e.asked.tenant = "acme";
  e.asked.device = "barrier-1";
  e.asked.executor = "cam";
  e.asked.type = "open";
  e.asked.id = id;
  e.command.delivery = Delivery::immediate;
  e.command.deadline = base::Instant{2000};
  e.command.result_ms = 1000;
  return e;
}

const Part kPart{"cam", {}};

TEST(PartLocks, AnEngineAfterThisOneKeepsThem) {
  LockStore store;
  PartLocks locks(store);
  const std::uint64_t tag = tag_of(0, 1, 1);
  EXPECT_TRUE(locks.take(tag, open_of("1"), {100}));
  EXPECT_FALSE(locks.take(tag_of(1, 2, 1), open_of("2"), {100}));
  EXPECT_TRUE(locks.take(tag, open_of("1"), {100})) << "the same one again";
  PartLocks next(store);
  for (const auto& [key, value] : store.all) {
    ASSERT_TRUE(PartLocks::is_key(key));
    next.restored(key, value);
  }
  EXPECT_TRUE(next.is_taken("acme", kPart, "2", {200}));
  EXPECT_FALSE(next.is_taken("acme", kPart, "1", {200})) << "it has the lock";
  EXPECT_FALSE(next.is_taken("other", kPart, "2", {200}));
  next.answered("acme", "cam", "1");
  EXPECT_FALSE(next.is_taken("acme", kPart, "2", {200}));
  EXPECT_TRUE(store.all.empty());
}

TEST(PartLocks, EndWithTheirCommandOrItsTime) {
  LockStore store;
  PartLocks locks(store);
  const std::uint64_t tag = tag_of(0, 1, 1);
  EXPECT_TRUE(locks.take(tag, open_of("1"), {100}));
  locks.word(tag, Fate::sent, {200});
  EXPECT_TRUE(locks.is_taken("acme", kPart, "2", {1999}));
  EXPECT_FALSE(locks.is_taken("acme", kPart, "2", {2000}));
  EXPECT_TRUE(locks.take(tag_of(0, 2, 1), open_of("2"), {2000}));
  locks.word(tag_of(0, 2, 1), Fate::dropped, {2001});
  EXPECT_EQ(locks.size(), 0u);
  EXPECT_TRUE(locks.take(tag, open_of("3"), {2001}));
  locks.sweep({1'000'000});
  EXPECT_EQ(locks.size(), 0u);
  EXPECT_TRUE(store.all.empty());
}

}  // namespace
}  // namespace berth::platform
