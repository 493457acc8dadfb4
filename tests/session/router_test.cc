// Which sessions a topic reaches.
#include "session/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "protocol/mqtt/topic.h"
#include "session/session.h"
#include "tests/support/random.h"

namespace berth::test {
namespace {

using session::SubOptions;

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

TEST(RouterWalk, OfATopicOf13LevelsIsWhole) {
  session::Router router;
  std::vector<session::Session> sessions(1 << 13);
  for (std::uint32_t i = 0; i < sessions.size(); ++i) {
    sessions[i].id = {i + 1};
    std::string filter;
    for (int bit = 0; bit < 13; ++bit)
      filter += (bit == 0 ? "" : "/") + std::string((i >> bit & 1) != 0 ? "w" : "+");
    router.add(router.intern(filter), &sessions[i], "", {}, 0);
  }
  std::string topic = "w";
  for (int i = 1; i < 13; ++i) topic += "/w";
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
    const bool grows = i / 500 % 2 == 0;  // between none and all
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

// -- beside a matcher that looks at every filter

struct Naive {
  struct Sub {
    SubOptions options;
    std::uint32_t id = 0;
  };
  using Key = std::tuple<std::string, std::string, session::Session*>;  // filter, group
  std::map<Key, Sub> all;

  struct To {
    std::uint8_t qos = 0;
    bool no_local = true;
    bool as_published = false;
    std::multiset<std::uint32_t> ids;
    bool operator==(const To&) const = default;
  };
  std::map<session::Session*, To> targets(const std::string& topic) const {
    std::map<session::Session*, To> out;
    for (const auto& [key, sub] : all) {
      const auto& [filter, group, s] = key;
      if (!group.empty() || !protocol::mqtt::filter_matches(filter, topic)) continue;
      To& to = out[s];
      to.qos = std::max(to.qos, sub.options.qos());
      to.no_local = to.no_local && sub.options.no_local();
      to.as_published = to.as_published || sub.options.retain_as_published();
      if (sub.id != 0) to.ids.insert(sub.id);
    }
    return out;
  }
  // Group -> its members, once for each filter of the group that matches.
  using Groups = std::multiset<std::pair<std::string, std::set<session::Session*>>>;
  Groups groups(const std::string& topic) const {
    std::map<std::pair<std::string, std::string>, std::set<session::Session*>> members;
    for (const auto& [key, sub] : all) {
      const auto& [filter, group, s] = key;
      if (!group.empty() && protocol::mqtt::filter_matches(filter, topic))
        members[{filter, group}].insert(s);
    }
    Groups out;
    for (const auto& [which, who] : members) out.insert({which.second, who});
    return out;
  }
};

std::map<session::Session*, Naive::To> targets_of(const session::Match& m) {
  std::map<session::Session*, Naive::To> out;
  for (const session::Target& t : m.targets) {
    EXPECT_FALSE(out.contains(t.session)) << "one copy each";
    out[t.session] = {t.options.qos(),
                      t.options.no_local(),
                      t.options.retain_as_published(),
                      {t.ids.begin(), t.ids.end()}};
  }
  return out;
}
Naive::Groups groups_of(const session::Match& m) {
  Naive::Groups out;
  for (const session::SharedGroup* g : m.groups) {
    std::set<session::Session*> members;
    for (const auto& member : g->members) members.insert(member.session);
    out.insert({g->name, members});
  }
  return out;
}

// Levels that look alike, empty ones, "$" topics, wildcards.
std::string random_path(test::Random& random, bool filter) {
  static const std::vector<std::string> kLevels{"a", "b", "", "aa", "$x", "$SYS", "+"};
  const auto level = [&] { return kLevels[random.below(filter ? 7 : 6)]; };
  std::string s = level();
  for (auto n = random.below(4); n != 0; --n) s += "/" + level();
  if (filter && random.one_in(3)) s = random.one_in(5) ? "#" : s + "/#";
  return s.empty() ? "a" : s;
}

TEST(Router, FindsWhatAMatcherFindsThatLooksAtEveryFilter) {
  for (const std::size_t cached : {1u, 50u}) {
    test::Random random(21);
    session::Router router(cached);
    std::vector<session::Session> sessions(6);
    std::vector<std::string> filters;
    for (int i = 0; i < 50; ++i) filters.push_back(random_path(random, true));
    Naive naive;
    int found = 0;
    for (int i = 0; i < 3000; ++i) {
      const std::string& filter = filters[random.below(filters.size())];
      const std::string group = random.one_in(4) ? "g" + std::to_string(random.below(3)) : "";
      session::Session* s = &sessions[random.below(sessions.size())];
      const Naive::Key key{filter, group, s};
      if (random.below(100) < (i / 500 % 2 == 0 ? 65u : 35u)) {
        const SubOptions options{static_cast<std::uint8_t>(random.below(3) | random.below(4) << 2)};
        const auto id = static_cast<std::uint32_t>(random.below(4));
        const bool fresh = router.add(router.intern(filter), s, group, options, id);
        ASSERT_EQ(fresh, !naive.all.contains(key)) << filter;
        naive.all[key] = {options, id};
      } else {
        const bool had = router.remove(router.intern(filter), s, group);
        ASSERT_EQ(had, naive.all.erase(key) != 0) << filter;
      }
      for (int k = 0; k < 2; ++k) {
        const std::string topic = random_path(random, false);
        const session::Match& m = router.match(topic);
        ASSERT_EQ(targets_of(m), naive.targets(topic)) << topic;
        ASSERT_EQ(groups_of(m), naive.groups(topic)) << topic;
        found += m.empty() ? 0 : 1;
      }
    }
    EXPECT_GT(found, 1000);
    for (const auto& [key, sub] : naive.all) {
      const auto& [filter, group, s] = key;
      EXPECT_TRUE(router.remove(router.intern(filter), s, group)) << filter;
    }
    for (const char* topic : {"a", "a/b", "$SYS/a", ""}) EXPECT_TRUE(router.match(topic).empty());
  }
}

TEST(Router, TopicsOfTheServerAreForFiltersThatNameThem) {  // 4.7.2-1
  session::Router router;
  session::Session s;
  for (const char* filter : {"#", "+/a", "+/#", "+"})
    router.add(router.intern(filter), &s, "", {}, 0);
  EXPECT_TRUE(router.match("$SYS/a").empty());
  EXPECT_TRUE(router.match("$SYS").empty());
  router.add(router.intern("$SYS/+"), &s, "", {}, 0);
  EXPECT_EQ(router.match("$SYS/a").targets.size(), 1u);
  EXPECT_EQ(router.match("a/$SYS").targets.size(), 1u) << "only at the beginning";
}

TEST(Router, AChangeIsSeenThoughTheTopicIsCached) {
  session::Router router;
  session::Session a;
  session::Session b;
  router.add(router.intern("t"), &a, "", {1}, 0);
  EXPECT_EQ(router.match("t").targets.size(), 1u);
  router.add(router.intern("+"), &b, "", {}, 0);
  EXPECT_EQ(router.match("t").targets.size(), 2u);
  router.add(router.intern("t"), &a, "", {2}, 0);
  EXPECT_EQ(router.match("t").targets[0].options.qos(), 2);
  router.remove(router.intern("t"), &a, "");
  ASSERT_EQ(router.match("t").targets.size(), 1u);
  EXPECT_EQ(router.match("t").targets[0].session, &b);
}

}  // namespace
}  // namespace berth::test
