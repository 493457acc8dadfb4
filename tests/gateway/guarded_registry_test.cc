// A registry that has lost what it held: nothing is removed for it until somebody says so.
#include "gateway/registry/guarded_registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>

#include "gateway/registry/registry.h"
#include "gateway/registry/sqlite_registry.h"

namespace berth::gateway::registry {
namespace {

std::string device(int n) {
  return "d/acme/cam-" + std::to_string(n);
}

// What a store says next.
struct Scripted final : RegistryStore {
  Changes read() override {
    if (fails) throw std::runtime_error("away");
    return std::exchange(next, {});
  }
  bool write(const std::vector<Write>&) override { return true; }
  Changes next;
  bool fails = false;
};

class Guarded : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "berth-guarded-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override {
    guard_.reset();
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::unique_ptr<RegistryStore> copy() const {
    return std::make_unique<SqliteRegistry>(directory_ + "/registry.db");
  }
  // A process that begins, with what it reads first.
  std::unique_ptr<GuardedRegistry> make(Scripted*& source, bool keeps, Changes first) {
    auto inner = std::make_unique<Scripted>();
    source = inner.get();
    source->next = std::move(first);
    GuardedRegistry::Options o;
    o.copy = copy();
    o.renew_copy = [this] {
      std::filesystem::remove(directory_ + "/registry.db");
      return copy();
    };
    o.keeps_copy = keeps;
    o.grace_s = 100;
    o.monotonic_s = [this] { return now_s_; };
    return std::make_unique<GuardedRegistry>(std::move(inner), std::move(o));
  }
  void begin(Changes first) {
    guard_ = make(source_, true, std::move(first));
    registry_ = std::make_unique<Registry>("");
    step();
  }
  void step() { registry_->apply(guard_->read()); }
  void say(Changes c) {
    source_->next = std::move(c);
    step();
  }
  static Changes devices(int from, int through) {
    Changes c{.whole = true, .list = {{"t/acme", "tenant"}}};
    for (int n = from; n <= through; ++n) c.list.push_back({device(n), "v"});
    return c;
  }
  static Changes nothing() { return {.whole = true, .list = {}}; }
  bool has(int n) const { return registry_->find(device(n)) != nullptr; }
  std::size_t count() const { return registry_->count(Kind::device); }

  std::string directory_;
  std::int64_t now_s_ = 1000;
  Scripted* source_ = nullptr;
  Scripted* engine_source_ = nullptr;
  std::unique_ptr<GuardedRegistry> guard_;
  std::unique_ptr<GuardedRegistry> engine_;
  std::unique_ptr<Registry> registry_;
};

TEST(Loss, IsMoreThanAnOperatorsWork) {
  EXPECT_FALSE(is_loss(0, 0));
  EXPECT_TRUE(is_loss(1, 1)) << "everything";
  EXPECT_FALSE(is_loss(10, 12)) << "a handful";
  EXPECT_TRUE(is_loss(11, 12));
  EXPECT_FALSE(is_loss(50, 100)) << "half";
  EXPECT_TRUE(is_loss(51, 100));
}

TEST_F(Guarded, AnEmptiedRegistryRemovesNobody) {
  begin(devices(1, 40));
  say(nothing());
  EXPECT_EQ(count(), 40u);
  ASSERT_TRUE(guard_->doubt());
  EXPECT_EQ(guard_->doubt()->missing.size(), 41u);
  EXPECT_EQ(guard_->doubt()->known, 41u);
  step();
  EXPECT_EQ(count(), 40u) << "nor later";
}

TEST_F(Guarded, WhatALossSaysAnewIsTaken) {
  begin(devices(1, 40));
  Changes few{.whole = true, .list = {{"t/acme", "tenant"}, {device(1), "new"}, {device(77), "v"}}};
  say(few);
  EXPECT_EQ(count(), 41u);
  EXPECT_EQ(*registry_->find(device(1)), "new");
  EXPECT_TRUE(has(77));
}

TEST_F(Guarded, AnotherRegistryInItsPlaceRemovesNobodyEither) {
  begin(devices(1, 40));
  Changes others{.whole = true, .list = {}};
  for (int n = 1; n <= 200; ++n) others.list.push_back({"d/other/x-" + std::to_string(n), "v"});
  say(others);
  step();
  EXPECT_EQ(count(), 240u);
  EXPECT_EQ(guard_->doubt()->missing.size(), 41u);
}

TEST_F(Guarded, SomeAreRemovedAsAlways) {
  begin(devices(1, 40));
  say(devices(1, 25));
  EXPECT_EQ(count(), 25u);
  EXPECT_FALSE(guard_->doubt());
  Changes one_by_one;
  for (int n = 2; n <= 25; ++n) one_by_one.list.push_back({device(n), std::nullopt});
  say(one_by_one);
  EXPECT_EQ(count(), 1u) << "who removes them by name means it";
  EXPECT_FALSE(guard_->doubt());
}

// More than the store remembers one by one: its reader gets a whole read.
TEST_F(Guarded, WhatWasRemovedByNameIsBelievedHoweverMuch) {
  begin(devices(1, 40));
  Changes c = devices(1, 1);
  c.removals = 10;
  say(std::move(c));
  EXPECT_EQ(count(), 40u) << "how many were removed before is not known";
  begin(devices(1, 40));
  say(devices(1, 40));
  c = devices(1, 40);
  c.removals = 100;
  say(std::move(c));
  c = devices(1, 1);
  c.removals = 139;
  say(std::move(c));
  EXPECT_EQ(count(), 1u);
  EXPECT_FALSE(guard_->doubt());
}

// While nobody looked: the copy says how many removals it knows of.
TEST_F(Guarded, AndByAProcessThatStartsLater) {
  Changes c = devices(1, 40);
  c.removals = 5;
  begin(std::move(c));
  c = devices(1, 1);
  c.removals = 44;
  begin(std::move(c));
  EXPECT_EQ(count(), 1u);
  EXPECT_FALSE(guard_->doubt());
  c = nothing();
  c.removals = 44;
  begin(std::move(c));
  EXPECT_EQ(count(), 1u) << "and this is a loss";
}

TEST_F(Guarded, TheDoubtEndsWhenTheyAreBack) {
  begin(devices(1, 40));
  say(nothing());
  say(devices(1, 38));
  EXPECT_FALSE(guard_->doubt());
  EXPECT_EQ(count(), 38u) << "the two that are still missing have been removed";
}

TEST_F(Guarded, OneByOneToo) {
  begin(devices(1, 40));
  say(nothing());
  Changes back{.list = {{"t/acme", "tenant"}}};
  for (int n = 1; n <= 30; ++n) back.list.push_back({device(n), "v"});
  say(back);
  EXPECT_FALSE(guard_->doubt());
  EXPECT_EQ(count(), 30u);
}

TEST_F(Guarded, AnOperatorMayAcceptIt) {
  begin(devices(1, 40));
  say(nothing());
  guard_->accept_loss();
  step();
  EXPECT_EQ(count(), 0u);
  EXPECT_FALSE(guard_->doubt());
  begin(nothing());
  EXPECT_EQ(count(), 0u) << "and it holds for who starts later";
}

TEST_F(Guarded, AfterTheGraceItIsBelieved) {
  begin(devices(1, 40));
  say(nothing());
  now_s_ += 99;
  step();
  EXPECT_EQ(count(), 40u);
  now_s_ += 1;
  step();
  EXPECT_EQ(count(), 0u);
}

TEST_F(Guarded, AProcessThatStartsAfterTheLossHasTheCopy) {
  begin(devices(1, 40));
  say({.list = {{device(41), "v"}, {device(1), std::nullopt}}});
  begin(nothing());
  EXPECT_EQ(count(), 40u);
  EXPECT_TRUE(has(41) && !has(1));
  EXPECT_TRUE(guard_->doubt());
  begin(devices(1, 3));
  EXPECT_EQ(count(), 41u) << "the three, and the rest of the copy";
}

TEST_F(Guarded, AProcessThatCantReadItHasTheCopy) {
  begin(devices(1, 40));
  guard_ = make(source_, true, {});
  source_->fails = true;
  registry_ = std::make_unique<Registry>("");
  step();
  EXPECT_EQ(count(), 40u);
  EXPECT_THROW(guard_->read(), std::runtime_error);
  source_->fails = false;
  say(devices(1, 39));
  EXPECT_EQ(count(), 39u);
}

TEST_F(Guarded, WithoutACopyAFailureIsOne) {
  guard_ = make(source_, true, {});
  source_->fails = true;
  EXPECT_THROW(guard_->read(), std::runtime_error);
}

// An engine reads the copy that the edge's process keeps, and believes what that believes.
TEST_F(Guarded, AnotherProcessFollowsWhoKeepsTheCopy) {
  begin(devices(1, 40));
  engine_ = make(engine_source_, false, nothing());
  Registry theirs("");
  theirs.apply(engine_->read());
  EXPECT_EQ(theirs.count(Kind::device), 40u);
  EXPECT_TRUE(engine_->doubt());
  theirs.apply(engine_->read());
  EXPECT_EQ(theirs.count(Kind::device), 40u);
  say(nothing());
  guard_->accept_loss();
  step();
  theirs.apply(engine_->read());
  EXPECT_EQ(theirs.count(Kind::device), 0u);
  EXPECT_FALSE(engine_->doubt());
}

TEST_F(Guarded, ADamagedCopyIsMadeAnew) {
  std::ofstream(directory_ + "/registry.db") << std::string(8192, 'x');
  begin(devices(1, 40));
  EXPECT_EQ(count(), 40u);
  begin(nothing());
  EXPECT_EQ(count(), 40u);
}

}  // namespace
}  // namespace berth::gateway::registry
