// Which sessions a topic reaches.
#include "session/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <random>

#include "session/session.h"

namespace berth::test {
namespace {

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

}  // namespace
}  // namespace berth::test
