// To which homes results go, and which command an answer without an id is for.
#include "platform/result_router.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "platform/ledger.h"
#include "platform/platform.pb.h"

namespace berth::platform {
namespace {

constexpr std::uint32_t kPartitions = 16;

struct Sent final : Notes {
  std::uint64_t tell(std::uint32_t partition, const pb::Note& note) override {
    EXPECT_TRUE(note.has_result());
    to.insert(partition);
    last = note.result();
    return 1;
  }
  std::set<std::uint32_t> to;
  pb::ResultNote last;
};

// A camera that drives two barriers.
struct TwoLanes final : CommandWays {
  Refusal terms(const Asked&, Terms&) const override { return {}; }
  Part part_of(std::string_view, std::string_view d) const override { return {std::string(d), {}}; }
  void each_target(std::string_view, std::string_view d,
                   const std::function<bool(std::string_view)>& f) const override {
    for (const std::string_view target : {d, std::string_view("in"), std::string_view("out")}) {
      if (!f(target)) return;
    }
  }
  std::string read_request(std::string_view, std::int64_t, Asked&) const override { return {}; }
  bool render(const Entry&, std::int64_t, std::int64_t, std::int64_t, Rendered&) const override {
    return false;
  }
};

struct Router : ::testing::Test {
  Router() { router.use(ways); }
  std::uint32_t home(const char* device) const { return home_of("acme", device, kPartitions); }
  std::uint64_t told(const char* device, const char* id, const char* type = "open") {
    pb::Dispatch d;
    d.set_tag(tag_of(home(device), ++serial, 1));
    d.mutable_command()->set_tenant("acme");
    d.mutable_command()->set_device(device);
    d.mutable_command()->set_executor("cam");
    d.mutable_command()->set_id(id);
    d.mutable_command()->set_type(type);
    router.dispatched(d, {1000});
    return d.tag();
  }
  std::set<std::uint32_t> result(const char* id) {
    sent.to.clear();
    const bool known = router.result("acme", "cam", id, {.outcome = Outcome::succeeded}, now);
    EXPECT_EQ(known, !sent.to.empty());
    return sent.to;
  }
  // The home of a device says that it has told this command; `id` empty: none.
  void tells(std::uint32_t from, std::uint64_t number, bool last = true, const char* type = "",
             const char* id = "") {
    pb::Told note;
    note.set_number(number);
    note.set_last(last);
    if (*id != '\0') {
      pb::ToldCommand& c = *note.add_commands();
      c.set_tag(tag_of(from, ++serial, 1));
      c.set_tenant("acme");
      c.set_device("cam");
      c.set_type(type);
      c.set_id(id);
    }
    router.told(from, note, now);
  }
  Sent sent;
  TwoLanes ways;
  ResultRouter router{sent, 0, kPartitions};
  std::uint64_t serial = 0;
  base::Instant now{1000};
};

TEST_F(Router, SendsAResultToTheHomeOfEachDeviceWhoseCommandItMayBe) {
  ASSERT_NE(home("cam"), home("in"));
  ASSERT_NE(home("in"), home("out"));
  EXPECT_EQ(result("1"), (std::set<std::uint32_t>{home("cam"), home("in"), home("out")}));
  EXPECT_EQ(sent.last.device(), "cam");
  EXPECT_EQ(sent.last.command_id(), "1");
}

TEST_F(Router, GivesAnAnswerWithoutAnIdToTheOneCommandThatWaitsForIt) {
  EXPECT_TRUE(result("~open").empty());
  told("in", "1");
  told("out", "2", "close");
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{home("in")});
  EXPECT_TRUE(result("~open").empty());  // it has been answered
  EXPECT_EQ(result("~close"), std::set<std::uint32_t>{home("out")});
}

TEST_F(Router, DoesNotGuessWhichOfTwoCommandsAnAnswerWithoutAnIdIsFor) {
  told("in", "1");
  const std::uint64_t other = told("out", "2");
  EXPECT_TRUE(result("~open").empty());
  pb::Word word;
  word.set_tag(other);
  word.set_fate(static_cast<std::uint32_t>(Fate::sent));
  router.word(word);
  EXPECT_TRUE(result("~open").empty());
  word.set_fate(static_cast<std::uint32_t>(Fate::dropped));
  router.word(word);
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{home("in")});
}

// The answer may be for what an engine before this one has told, or for what found no room.
TEST_F(Router, GuessesNothingWhereItMayNotKnowAll) {
  router.begin(7, now);
  told("in", "1");
  EXPECT_TRUE(result("~open").empty());
  now = now.plus_ms(ResultRouter::kUnsureMs);
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{home("in")});
  for (std::size_t i = 0; i <= Told::kMaxOfTenant; ++i)
    told("out", std::to_string(i).c_str(), "close");
  told("in", "2");
  router.result("acme", "cam", "~open", {.outcome = Outcome::succeeded}, now);
  EXPECT_TRUE(result("~open").empty());
}

TEST_F(Router, OfANewEngineIsSureWhenAllHomesHaveToldWhatTheyHaveUnderWay) {
  router.begin(7, now);
  tells(home("out"), 7, true, "open", "2");
  for (std::uint32_t p = 0; p < kPartitions; ++p) {
    if (p != home("in")) tells(p, 7);
  }
  EXPECT_TRUE(result("~open").empty()) << "the home of `in` has said nothing yet";
  tells(home("in"), 6, true, "close", "1");
  EXPECT_TRUE(result("~close").empty()) << "that was to an engine before this one";
  tells(home("in"), 7, false, "open", "3");
  EXPECT_TRUE(result("~close").empty()) << "there is more";
  tells(home("in"), 7);
  EXPECT_EQ(result("~close"), std::set<std::uint32_t>{home("in")});
  EXPECT_TRUE(result("~open").empty()) << "two wait";
  result("3");
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{home("out")});
}

TEST_F(Router, OfANewEngineDoesNotWaitForeverForAHome) {
  router.begin(7, now);
  for (std::uint32_t p = 1; p < kPartitions; ++p) tells(p, 7, true, "open", p == 1 ? "1" : "");
  now = now.plus_ms(ResultRouter::kUnsureMs - 1);
  EXPECT_TRUE(result("~open").empty());
  now = now.plus_ms(1);
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{1});
}

TEST(Told, ATenantThatIsToldTooMuchMakesNoOtherOneUnsure) {
  Told t;
  const std::string one = Ledger::device_key("one", "cam");
  const std::string two = Ledger::device_key("two", "cam");
  for (std::size_t i = 0; i <= Told::kMaxOfTenant; ++i)
    t.add(1 + i, one, "open", std::to_string(i), {5000});
  EXPECT_EQ(t.size(), Told::kMaxOfTenant);
  t.add(99'999, two, "open", "a", {5000});
  EXPECT_EQ(t.take(two, "open", {1000}), 99'999u);
  t.sweep({5000});
  EXPECT_EQ(t.size(), 0u);
  t.add(1, one, "open", "b", {9000});
  EXPECT_EQ(t.take(one, "open", {5000}), 1u) << "sure again";
}

TEST_F(Router, TakesOneCommandThatWasGivenTwiceForOne) {
  told("in", "1");
  told("in", "1");
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{home("in")});
  EXPECT_TRUE(result("~open").empty());
}

TEST_F(Router, ForgetsWhatHasItsResultAndWhatIsTooOld) {
  told("in", "1");
  result("1");
  told("out", "2");
  EXPECT_EQ(result("~open"), std::set<std::uint32_t>{home("out")});
  told("in", "3");
  router.sweep({1000 + ResultRouter::kToldMs});
  EXPECT_TRUE(result("~open").empty());
}

TEST(RouterOfOnePartition, HasNothingToChoose) {
  Sent sent;
  ResultRouter router(sent, 0, 1);
  router.result("acme", "cam", "~open", {.outcome = Outcome::succeeded}, {1000});
  EXPECT_EQ(sent.to, std::set<std::uint32_t>{0});
}

}  // namespace
}  // namespace berth::platform
