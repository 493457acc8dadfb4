// The edges of one engine: their numbers, and the election of an engine by their nominations.
#include "gateway/cluster/edge_roster.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/ids.h"

namespace berth::gateway::cluster {
namespace {

using base::kMs;

struct Edges {
  EdgeRoster roster;
  std::int64_t now_ns = 1000 * kMs;

  // `n` more linked edges.
  void link(int n) {
    for (int i = 0; i < n; ++i) {
      const auto number = roster.number_for(100 + roster.size());
      ASSERT_TRUE(number);
      roster[*number].linked = true;
    }
  }
  void say(std::uint32_t number, bool nominate, std::uint64_t lost_term = 0) {
    protocol::link::Alive a;
    a.nominate = nominate;
    a.lost_term = lost_term;
    roster.alive(number, a, now_ns);
  }
  bool elected(std::uint64_t reach = 0) {
    std::uint64_t lost = 0;
    return roster.elected(now_ns, reach, lost);
  }
  std::uint64_t lost_term() {
    std::uint64_t lost = 99;
    roster.elected(now_ns, 0, lost);
    return lost;
  }
};

TEST(EdgeRoster, MoreThanHalfElectAtOnce) {
  Edges e;
  e.link(4);
  EXPECT_FALSE(e.elected()) << "nobody asks";
  e.say(0, true);
  e.say(1, true);
  EXPECT_FALSE(e.elected(3)) << "half of them";
  e.say(2, true);
  EXPECT_TRUE(e.elected(100)) << "whatever the holder reaches";
}

TEST(EdgeRoster, AMinorityWaitsAndElectsTheEngineThatReachesMore) {
  Edges e;
  e.link(3);
  e.say(0, true);
  e.now_ns += 700 * kMs;
  EXPECT_FALSE(e.elected(2)) << "not yet";
  e.now_ns += kMs;
  EXPECT_TRUE(e.elected(2));
  EXPECT_FALSE(e.elected(3)) << "the holder reaches as many";
}

TEST(EdgeRoster, PatienceBeginsAnewWithEachNomination) {
  Edges e;
  e.link(3);
  e.say(0, true);
  e.now_ns += 500 * kMs;
  e.say(0, true);  // it still asks
  e.now_ns += 300 * kMs;
  EXPECT_TRUE(e.elected(0)) << "since it first asked";
  e.say(0, false);
  EXPECT_FALSE(e.elected(0));
  e.say(0, true);
  e.now_ns += 300 * kMs;
  EXPECT_FALSE(e.elected(0)) << "asked again since then";
}

TEST(EdgeRoster, EdgesOutOfReachAndEdgesOfEnginesHaveNoVote) {
  Edges e;
  e.link(5);
  e.roster[0].linked = false;
  e.roster[1].internal = true;
  e.say(0, true);
  e.say(1, true);
  EXPECT_FALSE(e.elected());
  EXPECT_EQ(e.roster.linked(), 3u);
  EXPECT_EQ(e.roster.out_of_reach(), 1u);
  EXPECT_TRUE(e.roster.is_linked(101)) << "linked, though it has no vote";
  EXPECT_FALSE(e.roster.is_linked(100));
  EXPECT_FALSE(e.roster.is_linked(4711));
  e.say(2, true);
  e.say(3, true);
  EXPECT_TRUE(e.elected()) << "two of three";
}

TEST(EdgeRoster, TheStoreIsTakenFromTheNewestTermThatAskingEdgesKnow) {
  Edges e;
  e.link(3);
  EXPECT_EQ(e.lost_term(), 0u);
  e.say(0, true, 5);
  e.say(1, true, 7);
  e.say(2, false, 9);
  EXPECT_EQ(e.lost_term(), 7u);
}

TEST(EdgeRoster, AnEdgeThatComesBackHasItsOldNumber) {
  Edges e;
  e.link(3);
  EXPECT_EQ(e.roster.number_for(101), 1u);
  EXPECT_EQ(e.roster.size(), 3u);
  e.roster[0] = {};  // it is gone
  EXPECT_EQ(e.roster.number_for(102), 2u);
  e.roster[0].admitted = true;
  EXPECT_EQ(e.roster.number_for(777), 0u) << "a new one has a free number first";
  EXPECT_EQ(e.roster[0].edge_id, 777u);
  EXPECT_FALSE(e.roster[0].admitted) << "and nothing of the one before";
  EXPECT_EQ(e.roster.size(), 3u);
}

TEST(EdgeRoster, ThereAreAsManyNumbersAsAConnIdCanSay) {
  EdgeRoster roster;
  for (std::uint32_t i = 0; i + 1 < base::ConnId::kLinksMax; ++i)
    ASSERT_EQ(roster.number_for(1000 + i), i);
  EXPECT_FALSE(roster.number_for(5));
  EXPECT_EQ(roster.number_for(1000), 0u) << "those that have one keep it";
}

}  // namespace
}  // namespace berth::gateway::cluster
