// What devices say of commands, and the ledger's death at any moment.
#include "platform/ledger.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/platform/ledger_box.h"

namespace berth::platform {
namespace {

using Box = LedgerBox;

TEST(Ledger, AResultOfAnotherDeviceIsNotTaken) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.ledger->result("acme", "1", "other", good(), b.at());
  b.ledger->result("evil", "1", "gate", good(), b.at());
  b.commit();
  EXPECT_TRUE(b.outcomes.empty());
}

// A vendor whose answers have no id: they are those of the one command of their type.
TEST(Ledger, AnAnswerWithoutAnIdIsThatOfTheOneCommandOfItsType) {
  Box b;
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  b.device_online("gate");
  b.ask("q1", kQueued);
  b.ledger->result("acme", "~close", "gate", good(), b.at());
  b.ledger->result("acme", "~open", "other", good(), b.at());
  b.commit();
  EXPECT_TRUE(b.outcomes.empty()) << "of another type, of another device";
  b.ask("q2", kQueued);
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  b.commit();
  EXPECT_TRUE(b.outcomes.empty()) << "which of the two?";
  b.ledger->result("acme", "q2", "gate", good(), b.at());
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["q1"], std::vector{Outcome::succeeded});
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  EXPECT_EQ(b.late, 0) << "nobody's";
}

TEST(Ledger, D6_ALateResultIsKeptBesideTheOutcomeOnce) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.word("1", 1, Fate::sent);
  b.time += 2000;
  b.ledger->expire(b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::uncertain});
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.turn();
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.late, 1);
  EXPECT_EQ(b.outcomes["1"].size(), 1u);
  const auto e = b.find("1");
  EXPECT_EQ(e->command.outcome, Outcome::uncertain);
  EXPECT_EQ(e->command.late_result.outcome, Outcome::succeeded);
}

TEST(Ledger, ALateResultIsNotLostWhileTheStoreCannotBeRead) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.word("1", 1, Fate::sent);
  b.time += 2000;
  b.ledger->expire(b.at());
  b.commit();
  b.store_fails = true;
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.late, 0);
  b.store_fails = false;
  b.time += 999;
  EXPECT_GT(b.ledger->next_due(), b.at().now);
  b.time += 1;
  EXPECT_LE(b.ledger->next_due(), b.at().now);
  b.ledger->expire(b.at());
  b.turn();
  EXPECT_EQ(b.late, 1);
  EXPECT_EQ(b.ledger->next_due(), base::kNever);
  EXPECT_EQ(b.find("1")->command.late_result.outcome, Outcome::succeeded);
}

TEST(Ledger, AResultThatBelongsToNoCommandIsCountedOnceForAllPartitions) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.word("1", 1, Fate::sent);
  b.ledger->result("acme", "1", "other", good(), b.at());
  EXPECT_EQ(b.stray, 1);
  b.ledger->result("acme", "2", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.stray, 2);
  b.ledger->result("acme", "3", "gate", good(), b.at(), true);
  b.turn();
  EXPECT_EQ(b.stray, 2) << "the command may be another partition's";
}

// Its PUBACK leaves with the commit; the store is read after that.
TEST(Ledger, ALateResultIsNotLostWithTheEngineThatLooksItsCommandUp) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.ledger->result("acme", "1", "gate", {.outcome = Outcome::failed}, b.at());
  b.turn();
  b.crash();
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.ledger->result("acme", "made-up", "gate", good(), b.at());
  b.commit();
  b.crash();
  EXPECT_LE(b.ledger->next_due(), b.at().now);
  b.ledger->expire(b.at());
  b.turn();
  b.turn();
  EXPECT_EQ(b.late, 1);
  EXPECT_EQ(b.stray, 1);
  EXPECT_EQ(b.find("1")->command.late_result.code, "200");
  EXPECT_EQ(b.find("1")->command.outcome, Outcome::failed);
  b.crash();
  EXPECT_EQ(b.ledger->next_due(), base::kNever) << "it has been looked up";
}

TEST(Ledger, ResultsThatTheStoreCannotBeAskedForAreBounded) {
  Box b({.late_max = 3});
  b.store_fails = true;
  for (int i = 0; i < 100; ++i) {
    for (int id = 0; id < 10; ++id)
      b.ledger->result("acme", "made-up" + std::to_string(id), "gate", good(), b.at());
    EXPECT_LE(b.reads_waiting(), 3u);
    b.turn();
    b.time += 1000;
    b.ledger->expire(b.at());
  }
}

TEST(Ledger, ResultsOfIdsThatADeviceMakesUpDoNotFloodTheStore) {
  Box b({.late_max = 3});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 10; ++i)
      b.ledger->result("acme", "made-up" + std::to_string(i), "gate", good(), b.at());
    EXPECT_EQ(b.reads_waiting(), 3u);
    b.turn();
  }
}

// A person has found out what became of it.
TEST(Ledger, ACommandWithAnOutcomeIsClosedOnceAndKeepsItsOutcome) {
  LedgerBox b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const auto close = [&b](const char* id, const char* note) {
    std::string code = "none";
    b.ledger->close_case("acme", id, {77, "guard@acme", note}, [&code](const Ledger::Answer& a) {
      code = a.refusal.status == 0 ? "" : a.refusal.code;
    });
    b.turn();
    return code;
  };
  EXPECT_EQ(close("1", "up"), "not_finished");
  b.word("1", 1, Fate::sent);
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  EXPECT_EQ(close("2", "up"), "no_such_command");
  EXPECT_EQ(close("1", "up"), "");
  EXPECT_EQ(close("1", "up"), "") << "the same again";
  EXPECT_EQ(close("1", "down"), "closed");
  const auto e = b.find("1");
  EXPECT_EQ(e->command.outcome, Outcome::succeeded);
  EXPECT_EQ(e->closed.wall_ms, 77);
  EXPECT_EQ(e->closed.by, "guard@acme");
  EXPECT_EQ(e->closed.note, "up");
}

// D5: the engine dies at any moment, questions are repeated with the same ids, words come late or
// twice. Each accepted command has one outcome, none goes out twice but MUST, and what the outcome
// says is safe to repeat has never been executed.
TEST(Ledger, AtAnyDeathEachCommandHasOneOutcomeAndIsNotExecutedTwice) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    Box b;
    b.device_online("gate");
    std::map<std::string, int> executed;
    std::set<std::string> answered;
    std::size_t seen = 0;
    std::vector<std::string> carried;  // by the dispatcher, which remembers across deaths
    for (int step = 0; step < 60; ++step) {
      const std::string id = std::to_string(random() % 6);
      switch (random() % 9) {
        case 0:
        case 1: {
          const Terms terms = id < "3" ? kImmediate : kQueued;
          b.submit(id, terms, "gate" + id);
          b.device_online("gate" + id);
          break;
        }
        case 2:
        case 3:
          b.turn();
          break;
        case 4:
          b.crash();
          break;
        case 5:
          b.time += random() % 900;
          b.ledger->expire(b.at());
          break;
        case 6:
          b.device_offline("gate" + id);
          break;
        default:
          if (carried.empty()) break;
          const std::string one = carried[random() % carried.size()];
          const std::string of = one.substr(0, one.find('#'));
          const auto attempt =
              static_cast<std::uint32_t>(std::stoul(one.substr(one.find('#') + 1)));
          if (executed.contains(of)) {
            b.word(of, attempt, Fate::sent);
            b.ledger->result("acme", of, "gate" + of, good(), b.at());
          } else if (random() % 2 == 0) {
            b.word(of, attempt, Fate::dropped, "device_offline");
            std::erase(carried, one);
          } else {
            ++executed[of];
            b.word(of, attempt, Fate::sent);
          }
      }
      for (; seen < b.handed.size(); ++seen) carried.push_back(b.handed[seen]);
    }
    for (int i = 0; i < 200; ++i) {
      b.time += 5000;
      b.ledger->expire(b.at());
      b.turn();
    }
    EXPECT_EQ(b.ledger->open(), 0u) << seed;
    for (const auto& [id, outcomes] : b.outcomes) {
      EXPECT_EQ(outcomes.size(), 1u) << seed << " " << id;
      EXPECT_EQ(b.find(id)->command.outcome, outcomes.front()) << seed;
    }
    std::map<std::string, int> handed;
    for (const std::string& one : b.handed) ++handed[one];
    for (const auto& [one, n] : handed) EXPECT_EQ(n, 1) << seed << " " << one;
    for (const auto& [id, n] : executed) {
      EXPECT_EQ(n, 1) << seed << " " << id;
      ASSERT_TRUE(b.find(id)) << seed;
      EXPECT_FALSE(b.find(id)->command.safe_to_repeat())
          << seed << " " << id << " " << name_of(b.find(id)->command.outcome);
    }
  }
}

}  // namespace
}  // namespace berth::platform
