// Who has killed engines (I12): counting, the order of a probation, and the clock of absence.
#include "gateway/edge/quarantine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gateway/edge/probation.h"
#include "gateway/engine/kept_out_list.h"
#include "gateway/link/principal_id.h"
#include "gateway/runtime/absence.h"

namespace berth::gateway::edge {
namespace {

using link::principal_id;
using Strike = Quarantine::Strike;

Strike of(std::string_view who, std::uint64_t number, std::uint64_t tenant = 0) {
  return {.number = number,
          .id = principal_id(who),
          .tenant = tenant,
          .kind = Quarantine::Kind::principal,
          .at_once = false,
          .peer = "192.0.2.1"};
}

TEST(Quarantine, TwoDeathsOfOnePrincipalWhateverItIsCalled) {
  Quarantine q({}, 600);
  EXPECT_FALSE(q.any());
  EXPECT_FALSE(q.strike(of("evil", 1), "x", 100));
  EXPECT_FALSE(q.strike(of("good", 2), "x", 100));
  EXPECT_FALSE(q.holds(principal_id("evil"), 100));
  EXPECT_TRUE(q.strike(of("evil", 3), "x", 101));
  EXPECT_TRUE(q.holds(principal_id("evil"), 102));
  EXPECT_FALSE(q.holds(principal_id("good"), 102));
  EXPECT_EQ(q.size(102), 1u);
  EXPECT_FALSE(q.holds(principal_id("evil"), 101 + 600)) << "for a while";
}

TEST(Quarantine, AStrikeHeardTwiceCountsOnceAndAnOldOneNotAtAll) {
  Quarantine q({}, 600);
  EXPECT_FALSE(q.strike(of("a", 7), {}, 1));
  EXPECT_FALSE(q.strike(of("a", 7), {}, 1)) << "by way of two engines";
  EXPECT_FALSE(q.strike(of("a", 8), {}, 1000)) << "the one before was long ago";
  EXPECT_TRUE(q.strike(of("a", 9), {}, 1001));
}

TEST(Quarantine, ATenantWithManyDeathsIsSlowedAndLiftedWithItsPrincipal) {
  Quarantine q({}, 600);
  for (std::uint64_t i = 0; i < 5; ++i) q.strike(of("dev" + std::to_string(i), i + 1, 77), {}, 10);
  EXPECT_FALSE(q.slows(77, 10));
  q.strike(of("dev9", 9, 77), {}, 10);
  EXPECT_TRUE(q.slows(77, 10));
  EXPECT_FALSE(q.slows(78, 10));
  EXPECT_TRUE(q.lift(link::text_of(principal_id("dev9")), 11));
  EXPECT_FALSE(q.slows(77, 11));
  EXPECT_FALSE(q.lift("nobody", 11));
}

TEST(Quarantine, EdgesTellEachOtherWhoItIsAndWhatIsLifted) {
  Strike said = of("a", 1);
  said.name = std::string(300, 'n');
  const auto heard = Strike::decode(said.encode());
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->name, std::string(Quarantine::kNameMax, 'n'));
  EXPECT_FALSE(heard->lifted);
  const auto lifted = Strike::decode(Quarantine::lifted(link::text_of(said.id)).encode());
  ASSERT_TRUE(lifted);
  EXPECT_TRUE(lifted->lifted);
  EXPECT_EQ(lifted->id, said.id);
}

TEST(PrincipalId, IsKeyed) {
  link::use_principal_secret("secret");
  link::use_principal_secret("another");
  EXPECT_NE(link::keyed_principal_id("a"), principal_id("a"));
  // printf a | openssl dgst -sha256 -hmac secret
  EXPECT_EQ(link::text_of(link::keyed_principal_id("a")), "4048c44911916043ff626895ff78c526");
}

TEST(Quarantine, WhatEnginesAreToldEndsAndIsLifted) {
  engine::KeptOutList engine;
  Quarantine q({}, 600);
  q.strike(of("a", 1), {}, 10);
  q.strike(of("a", 2), {}, 10);
  engine.add(q.list(10), 1000);
  EXPECT_TRUE(engine.has(principal_id("a"), 1001));
  EXPECT_FALSE(engine.has(principal_id("b"), 1001));
  q.lift(link::text_of(principal_id("a")), 11);
  engine.add(q.list(11), 1002);
  EXPECT_FALSE(engine.has(principal_id("a"), 1003));
  engine.add({{protocol::link::PrincipalId::of_tenant(5), 10}}, 1000);
  EXPECT_TRUE(engine.may_pass(protocol::link::PrincipalId::of_tenant(5), 1001));
  EXPECT_FALSE(engine.may_pass(protocol::link::PrincipalId::of_tenant(5), 1001)) << "one a second";
  EXPECT_TRUE(engine.may_pass(protocol::link::PrincipalId::of_tenant(5), 1011));
}

TEST(Quarantine, IsBoundedAndKeepsTheKillingInputPrivately) {
  std::string name = std::filesystem::temp_directory_path() / "berth-quarantine-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  {
    Quarantine q(directory + "/q", 600);
    const std::string large(Quarantine::kInputMax + 5, 'x');
    for (std::uint64_t i = 0; i < 40; ++i) q.strike(of(std::to_string(i), i + 1), large, 10);
    std::size_t files = 0;
    for (const auto& f : std::filesystem::directory_iterator(directory + "/q")) {
      ++files;
      struct stat s {};
      ASSERT_EQ(::stat(f.path().c_str(), &s), 0);
      EXPECT_EQ(s.st_mode & 0777, 0600u);
      EXPECT_EQ(static_cast<std::size_t>(s.st_size), Quarantine::kInputMax);
    }
    EXPECT_LE(files, Quarantine::kFilesMax);
    for (std::uint64_t i = 0; i < 2 * Quarantine::kKeysMax; ++i)
      q.strike(of("k" + std::to_string(i), 1000 + i), {}, 20);
    EXPECT_LE(q.entries(20).size(), Quarantine::kKeysMax);
  }
  std::filesystem::remove_all(directory);
}

TEST(Quarantine, StrikesAndTheWholeOfItTravel) {
  Strike s = of("a", 5, 6);
  s.at_once = true;
  const auto read = Strike::decode(s.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->number, 5u);
  EXPECT_EQ(read->id, s.id);
  EXPECT_EQ(read->tenant, 6u);
  EXPECT_TRUE(read->at_once);
  EXPECT_TRUE(Strike::decode(s.encode().substr(0, s.encode().size() - 1)))
      << "an edge of the release before gives no name";
  for (std::size_t n = 0; n + 1 < s.encode().size(); ++n)
    EXPECT_FALSE(Strike::decode(s.encode().substr(0, n))) << n;
  Quarantine before({}, 600);
  before.strike(s, {}, 10);
  Quarantine after({}, 600);
  after.restore(before.save(20), 5000);
  EXPECT_TRUE(after.holds(s.id, 5589));
  EXPECT_FALSE(after.holds(s.id, 5591)) << "what was left of it";
}

TEST(Quarantine, ASuccessorKnowsTheNames) {
  Quarantine before({}, 600);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    before.strike({.number = i,
                   .id = {i, i},
                   .tenant = 0,
                   .kind = Quarantine::Kind::principal,
                   .at_once = true,
                   .peer = "10.0.0." + std::to_string(i),
                   .name = i == 2 ? "" : "acme cam-" + std::to_string(i),
                   .lifted = false},
                  {}, static_cast<std::int64_t>(i));
  }
  Quarantine after({}, 600);
  after.restore(before.save(20), 5000);
  const auto old = before.entries(20);
  const auto all = after.entries(5000);
  ASSERT_EQ(all.size(), 3u);
  for (const auto& e : all) {
    const auto it =
        std::find_if(old.begin(), old.end(), [&](const auto& o) { return o.id == e.id; });
    ASSERT_NE(it, old.end());
    EXPECT_EQ(e.name, it->name);
    EXPECT_EQ(e.peer, it->peer);
  }
}

base::ConnId conn(std::uint32_t n) {
  return {n, 1};
}
using Conns = std::vector<base::ConnId>;

// What an engine's word says: nobody can read it; nobody; a connection of this shard; somebody
// else.
const Named kUnread;
const Named kNobody{.known = true};
const Named kElse{.known = true, .somebody = true};
Named names(std::uint32_t n) {
  return {.known = true, .somebody = true, .conn = conn(n)};
}

TEST(Probation, BeginsAfterTwoDeathsInARowWithoutEvidence) {
  Probation p;
  p.serves(0);
  p.died(EngineEnd::unproven, kNobody, 1000);
  EXPECT_FALSE(p.due());
  p.serves(1100);
  p.died(EngineEnd::planned, kNobody, 1200);
  p.serves(1300);
  p.died(EngineEnd::unproven, kNobody, 1400);
  EXPECT_FALSE(p.due()) << "a planned end between";
  p.serves(1500);
  p.died(EngineEnd::unproven, kNobody, 1600);
  EXPECT_TRUE(p.due());
  p.serves(1700);
  p.died(EngineEnd::unproven, kNobody, 1700 + Probation::kSoon_ms);
  EXPECT_FALSE(p.due()) << "it has served long enough";
}

TEST(Probation, OneAtATimeMostBytesFirstAndWithinItsTime) {
  Probation p;
  EXPECT_EQ(p.begin({{conn(1), 10}, {conn(2), 30, 30}, {conn(3), 20}}, 0), Conns{conn(2)});
  EXPECT_TRUE(p.next(kNobody, 10).empty()) << "it has not been acknowledged";
  p.cleared(conn(3));
  EXPECT_TRUE(p.next(kNobody, 10).empty());
  p.cleared(conn(2), 29);
  EXPECT_TRUE(p.next(kNobody, 10).empty()) << "one packet of several";
  p.cleared(conn(2), 30);
  EXPECT_EQ(p.next(kNobody, 11), Conns{conn(3)});
  EXPECT_EQ(p.next(kNobody, 11 + Probation::kQuiet_ms), Conns{conn(1)}) << "a short deadline";
  EXPECT_TRUE(p.running());
  EXPECT_TRUE(p.next(kNobody, 12 + 2 * Probation::kQuiet_ms).empty());
  EXPECT_FALSE(p.running());
}

TEST(Probation, ASuspectThatTheEngineWorksForIsNotOver) {
  Probation p;
  p.begin({{conn(1), 3}, {conn(2), 2}, {conn(3), 1}}, 0);
  std::int64_t now = 0;
  for (; now < Probation::kEach_ms; now += 100)
    EXPECT_TRUE(p.next(now % 200 == 0 ? names(1) : kElse, now).empty()) << now << ": in parts";
  EXPECT_EQ(p.next(names(1), now), Conns{conn(2)}) << "a deadline";
  EXPECT_TRUE(p.next(kUnread, now + Probation::kBlind_ms - 1).empty()) << "nobody sees its work";
  EXPECT_EQ(p.next(kUnread, now + Probation::kBlind_ms), Conns{conn(3)});
}

TEST(Probation, BlamesWhomTheEngineWorkedForWhateverHasBegunSince) {
  Probation p;
  p.begin({{conn(1), 2}, {conn(2), 1}}, 0);
  const std::int64_t later = Probation::kEach_ms;
  ASSERT_EQ(p.next(names(1), later), Conns{conn(2)});
  EXPECT_EQ(p.died(EngineEnd::fault, names(1), later + 500), conn(1)) << "not the current one";
  p.begin({{conn(1), 2}, {conn(2), 1}}, 0);
  ASSERT_EQ(p.next(kNobody, Probation::kQuiet_ms), Conns{conn(2)});
  p.next(kNobody, 2 * Probation::kQuiet_ms);
  ASSERT_FALSE(p.running());
  EXPECT_EQ(p.died(EngineEnd::fault, names(1), 700), conn(1)) << "nor does the end save it";
}

TEST(Probation, AnInnocentIsNeverBlamed) {
  for (const Named& named : {kElse, names(9), kNobody, kUnread}) {
    Probation p;
    for (int i = 0; i < 5; ++i) {
      p.begin({{conn(1), 2}, {conn(2), 1}}, 0);
      ASSERT_EQ(p.next(kUnread, Probation::kBlind_ms), Conns{conn(2)});
      EXPECT_EQ(p.died(EngineEnd::fault, named, 4000), std::nullopt)
          << "the engine works for somebody else, or one of two";
    }
  }
  Probation p;
  p.begin({{conn(1), 2, 2}, {conn(2), 1}}, 0);
  p.cleared(conn(1), 2);
  p.next(kNobody, 1);
  EXPECT_EQ(p.died(EngineEnd::fault, names(1), 2), std::nullopt) << "it was done with";
}

TEST(Probation, WhomAnEngineNamedAtItsDeathBeginsNextTime) {
  Probation p;
  p.died(EngineEnd::fault, names(3), 1);
  EXPECT_EQ(p.begin({{conn(1), 9}, {conn(2), 8}, {conn(3), 1}}, 2), Conns{conn(3)});
}

TEST(Probation, TheRestGoesOnAtOnceWhenItTakesTooLong) {
  Probation p;
  std::vector<Probation::Suspect> many;
  for (std::uint32_t i = 0; i < 100; ++i) many.push_back({conn(i), 1});
  Conns given = p.begin(many, 0);
  for (int i = 0; p.running(); ++i) {
    if (p.current()) p.cleared(*p.current());
    const Conns more = p.next(kNobody, i);
    given.insert(given.end(), more.begin(), more.end());
    if (p.running()) {
      EXPECT_EQ(more.size(), 1u);
    }
  }
  EXPECT_EQ(given.size(), 100u);
  p.begin(many, 0);
  EXPECT_EQ(p.next(kNobody, Probation::kAll_ms + 1).size(), 99u);
}

TEST(Probation, ProvesByOneFaultThatNamesItOrThreeEnds) {
  Probation p;
  p.begin({{conn(1), 1}, {conn(2), 2}}, 0);
  EXPECT_EQ(p.died(EngineEnd::fault, names(2), 1), conn(2));
  for (int i = 0; i < 2; ++i) {
    p.begin({{conn(1), 1}, {conn(2), 2}}, 0);
    EXPECT_EQ(p.died(EngineEnd::unproven, kUnread, 1), std::nullopt) << "an operator's, perhaps";
  }
  p.begin({{conn(1), 3}, {conn(2), 2}}, 0);
  EXPECT_EQ(p.died(EngineEnd::unproven, kUnread, 1), std::nullopt) << "another one";
  for (int i = 0; i < 2; ++i) {
    p.begin({{conn(1), 3}, {conn(2), 2}}, 0);
    EXPECT_EQ(p.died(EngineEnd::fault, kNobody, 1), i == 1 ? std::optional(conn(1)) : std::nullopt);
  }
  p.begin({{conn(1), 3}}, 0);
  EXPECT_EQ(p.died(EngineEnd::planned, names(1), 1), std::nullopt);
}

TEST(EngineWord, NamesConnectionsOfItsShardOnly) {
  const auto word = std::make_shared<std::atomic<std::uint64_t>>(0);
  EXPECT_FALSE(EngineWord().read().known);
  const EngineWord first(word, 0);
  const EngineWord second(word, 1);
  EXPECT_TRUE(second.read().known);
  EXPECT_FALSE(second.read().somebody);
  *word = conn(7).on_link(1).packed();
  EXPECT_EQ(second.read().conn, conn(7));
  EXPECT_EQ(first.read().conn, base::kNoConn);
  EXPECT_TRUE(first.read().somebody);
  *word = protocol::link::ForwardedWork{protocol::link::ForwardedWork::kWillSource, 7}.packed();
  EXPECT_TRUE(second.read().somebody);
  EXPECT_EQ(second.read().conn, base::kNoConn);
}

TEST(Absence, RunsFromTheLastTimeItServedWell) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  runtime::Absence a;
  EXPECT_EQ(a.ns(kSecond), 0);
  a.serves(1 * kSecond);
  a.ended(10 * kSecond);
  EXPECT_EQ(a.ns(11 * kSecond), kSecond);
  a.ended(12 * kSecond);
  EXPECT_EQ(a.ns(13 * kSecond), 3 * kSecond) << "a failed start is no success";
  a.serves(14 * kSecond);
  EXPECT_EQ(a.ns(15 * kSecond), 5 * kSecond) << "not proven yet";
  a.ended(15 * kSecond);
  EXPECT_EQ(a.ns(16 * kSecond), 6 * kSecond) << "it has served for a moment only";
  a.serves(16 * kSecond);
  EXPECT_EQ(a.ns(16 * kSecond + runtime::Absence::kProven), 0);
  a.ended(20 * kSecond);
  EXPECT_EQ(a.ns(21 * kSecond), kSecond);
}

}  // namespace
}  // namespace berth::gateway::edge
