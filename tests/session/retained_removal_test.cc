// What is left of a tenant, a site or a device that has been removed or moved: nothing that whoever
// has its name next could hear.
#include <gtest/gtest.h>

#include "session/retained_removal.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using session::Principal;
using session::Role;

struct Removal : Site {
  explicit Removal(session::BrokerOptions o = {}) : Site(-1, o) {
    platform = come("acme/s/platform", "p");
    other = come("other/s/platform", "o");
    for (const char* name : {"cam", "door"}) {
      const int d = come("acme/d/" + std::string(name), name);
      w.feed(d, publish("v1/state", name, 1, 1, 5, true));
    }
    w.feed(platform, publish("v1/north/cam/desired", "open", 1, 1, 5, true) +
                         publish("v1/north/today", "busy", 1, 2, 5, true) +
                         publish("device/cam/up", "vendor", 1, 3, 5, true));
    w.feed(other, publish("v1/north/cam/desired", "theirs", 1, 1, 5, true));
  }
  std::multiset<std::string> kept(const std::string& tenant) {
    const int c = come(tenant + "/s/late", "late" + std::to_string(++late));
    w.feed(c, subscribe(1, "#", 1));
    const Texts all = got(w, c);
    w.close(c);
    return {all.begin(), all.end()};
  }
  std::uint64_t counted(const std::string& tenant) {
    std::uint64_t n = 0;
    w.broker().accounts().each([&](const session::Account& a) {
      if (a.tenant() == tenant && a.site().empty()) n = a.usage.retained_messages;
    });
    return n;
  }
  static std::string key(const char* name) { return Principal{"acme", Role::device, name}.key(); }
  int platform = 0;
  int other = 0;
  int late = 0;
};
using Kept = std::multiset<std::string>;

const Kept kAll{"v1/north/cam/state cam", "v1/north/door/state door", "v1/north/cam/desired open",
                "v1/north/today busy", "device/cam/up vendor"};

TEST(Removal, WhatADeviceRetainedGoesWithIt) {
  Removal s;
  ASSERT_EQ(s.kept("acme"), kAll);
  ASSERT_EQ(s.counted("acme"), 5u);
  s.review({.principals = {Removal::key("cam")},
            .removed_principals = {Removal::key("cam")},
            .removed_topics = {"$tenant/acme/v1/north/cam/#", "$tenant/acme/device/cam/#"}});
  const Kept left{"v1/north/door/state door", "v1/north/today busy"};
  EXPECT_EQ(s.kept("acme"), left);
  EXPECT_EQ(s.counted("acme"), 2u);
  EXPECT_EQ(s.kept("other"), Kept{"v1/north/cam/desired theirs"});
  s.w.crash();
  EXPECT_EQ(s.kept("acme"), left) << "it is gone from the store too";
  EXPECT_EQ(s.counted("acme"), 2u);
}

TEST(Removal, ATenantOfTheSameNameBeginsEmpty) {
  Removal s;
  s.review(
      {.tenants = {"acme"}, .removed_tenants = {"acme"}, .removed_topics = {"$tenant/acme/#"}});
  EXPECT_TRUE(s.w.ended(s.platform)) << "an account of that name is somebody else";
  EXPECT_EQ(s.kept("acme"), Kept{});
  EXPECT_EQ(s.counted("acme"), 0u);
  EXPECT_FALSE(s.w.ended(s.other));
  EXPECT_EQ(s.kept("other"), Kept{"v1/north/cam/desired theirs"});
}

// The next one of that name logs in as before: what waited for the one before is not for it.
TEST(Removal, ASessionIsNotForTheNextOneOfThatName) {
  Site s;
  const ConnectOptions kept{.clean = false, .properties = expiry(600)};
  const int cam = s.come("acme/d/cam", "c", kept);
  s.w.feed(cam, subscribe(1, "v1/cmd/#", 1));
  s.w.close(cam);
  const int platform = s.come("acme/s/platform", "p");
  s.w.feed(platform, publish("v1/north/cam/cmd/1/req/open", "go", 1, 1));
  const std::string key = Removal::key("cam");
  s.review({.principals = {key}, .removed_principals = {key}});
  const int again = s.come("acme/d/cam", "c", kept);
  EXPECT_EQ(answer(s.w, again, 2, 0), 0u) << "no session is present";
  EXPECT_EQ(got(s.w, again), Texts{});
}

// An engine that was away when it was removed.
TEST(Removal, WhatTheRegistryDoesNotKeepGoesAfterAStart) {
  Removal s;
  s.book.stale = {"$tenant/acme/v1/north/cam/state", "$tenant/acme/v1/north/cam/desired"};
  s.w.crash();
  s.w.broker().remove_retained({std::string(session::RetainedRemoval::kStale)}, s.w.now());
  s.w.run();
  EXPECT_EQ(s.kept("acme"),
            (Kept{"v1/north/door/state door", "v1/north/today busy", "device/cam/up vendor"}));
}

TEST(Removal, TakesAShareOfATurn) {
  session::Retained retained([](std::string_view, int) {});
  constexpr std::size_t kMany = 20'000;
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::string topic = "$tenant/a/v1/s/d" + std::to_string(i) + "/state";
    retained.put(topic, session::MessagePtr(session::MessageView{.topic = topic, .payload = "x"}));
  }
  session::RetainedRemoval removal;
  removal.add({"$tenant/a/#"});
  std::size_t turns = 0;
  while (!removal.idle() && turns < kMany) {
    ++turns;
    const std::size_t before = retained.size();
    session::TurnBudget budget;
    budget.begin_turn(session::TurnBudget::kTurn / 4);
    removal.go_on(
        retained, budget, [](std::string_view) { return true; }, [] { return true; },
        [&](const session::Retained::Expired& e) { retained.remove(e.topic, e.stamp); });
    EXPECT_LE(before - retained.size(), 5'000u);
  }
  EXPECT_EQ(retained.size(), 0u);
  EXPECT_GE(turns, 4u);
  EXPECT_LE(turns, 100u);
}

}  // namespace
}  // namespace berth::test
