// The ledger of commands: which it accepts, when it hands them out, and how they end.
#include "platform/ledger.h"

#include <gtest/gtest.h>

#include "tests/platform/ledger_box.h"

#include "platform/platform.pb.h"
#include "platform/result_router.h"

namespace berth::platform {
namespace {

using Box = LedgerBox;

// A caller may name the camera or the barrier that it opens: the arm is the same.
TEST(Ledger, ABarrierHasOneImmediateCommandByWhicheverName) {
  Box b;
  b.device_online("cam");
  Terms terms = kImmediate;
  terms.executor = "cam";
  EXPECT_EQ(b.ask("1", terms, "barrier").refusal.status, 0);
  EXPECT_EQ(b.ask("2", terms, "cam").refusal.code, std::string("device_busy"));
  Terms other = terms;
  other.child = "exit";
  EXPECT_EQ(b.ask("3", other, "barrier-2").refusal.status, 0) << "another arm of the camera";
  b.ledger->result("acme", "1", "cam", good(), b.at());
  b.turn();
  EXPECT_EQ(b.ask("4", terms, "cam").refusal.status, 0);
  EXPECT_EQ(b.ask("5", terms, "barrier").refusal.code, std::string("device_busy"));
}

// The executor of the record may hang behind the device that is told.
TEST(Ledger, TheDeviceThatIsToldIsNotTheExecutorThatTheCallerNames) {
  Box b;
  b.device_online("box");
  Terms terms = kImmediate;
  terms.executor = "box";
  terms.child = "loop";
  Asked a{.tenant = "acme", .id = "1", .device = "barrier", .executor = "loop"};
  a.type = "open";
  int status = -1;
  b.ledger->submit(
      a,
      [&](const Asked&, Terms& out) {
        out = terms;
        return Refusal{};
      },
      b.at(), [&](const Ledger::Answer& answer) { status = answer.refusal.status; });
  b.turn();
  EXPECT_EQ(status, 0);
  EXPECT_EQ(b.handed, Handed{"1#1"});
}

TEST(Ledger, AnImmediateCommandGoesOutWhenItIsDurableAndEndsWithItsResult) {
  Box b;
  b.device_online("gate");
  const auto said = b.submit("1", kImmediate);
  b.run_reads();
  EXPECT_TRUE(b.handed.empty() && said->empty()) << "nothing before the commit";
  b.commit();
  ASSERT_EQ(said->size(), 1u);
  EXPECT_EQ(said->front().refusal.status, 0);
  EXPECT_EQ(b.handed, Handed{"1#1"});
  b.word("1", 1, Fate::sent);
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::succeeded});
  EXPECT_EQ(b.ledger->open(), 0u);
  EXPECT_EQ(b.find("1")->command.outcome, Outcome::succeeded);
}

TEST(Ledger, D1_AnImmediateCommandIsRefusedWhileItsDeviceIsAway) {
  Box b;
  const Box::Said said = b.ask("1", kImmediate);
  EXPECT_EQ(said.refusal.status, 409);
  EXPECT_STREQ(said.refusal.code, "device_offline");
  b.device_online("gate");
  b.turn();
  EXPECT_TRUE(b.handed.empty());
  EXPECT_EQ(b.ask("1", kImmediate).refusal.status, 0) << "nothing had happened under this id";
}

TEST(Ledger, D4_TheSameIdIsTheSameCommandAndItsAnswer) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const Box::Said again = b.ask("1", kImmediate);
  EXPECT_TRUE(again.before);
  EXPECT_EQ(again.entry->command.state, State::handed);
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  const Box::Said after = b.ask("1", kImmediate);
  EXPECT_TRUE(after.before);
  EXPECT_EQ(after.entry->command.outcome, Outcome::succeeded);
  EXPECT_EQ(b.handed, Handed{"1#1"});
}

TEST(Ledger, TheSameIdWithOtherContentIsAConflict) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const auto open = b.submit("1", kImmediate, "gate", "close");
  b.turn();
  EXPECT_STREQ(open->front().refusal.code, "idempotency_conflict");
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  const auto closed = b.submit("1", kImmediate, "gate", "close");
  b.turn();
  EXPECT_STREQ(closed->front().refusal.code, "idempotency_conflict");
}

TEST(Ledger, TwoQuestionsWithOneIdAtOnceAreOneCommand) {
  Box b;
  b.device_online("gate");
  const auto one = b.submit("1", kImmediate);
  const auto two = b.submit("1", kImmediate);
  b.turn();
  EXPECT_FALSE(one->front().before);
  EXPECT_TRUE(two->front().before);
  EXPECT_EQ(b.handed, Handed{"1#1"});
}

TEST(Ledger, D5_TheSecondOfTwoQuestionsFindsACommandThatEndedAtOnce) {
  Box b;
  b.device_online("gate");
  b.time = 50'000;
  std::vector<bool> before;
  for (int i = 0; i < 2; ++i) {
    Asked a{.tenant = "acme", .id = "1", .device = "gate"};
    a.since_ms = 1000;
    b.ledger->submit(
        a,
        [](const Asked&, Terms& t) {
          t = kImmediate;
          return Refusal{};
        },
        b.at(), [&before](const Ledger::Answer& r) { before.push_back(r.before); });
  }
  b.turn();
  b.turn();
  EXPECT_EQ(before, (std::vector<bool>{true, false}));
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::expired});
}

// A device that was not where its home believed: the home hears of it when it comes again.
TEST(Ledger, ACommandThatFoundNobodyWaitsUntilItsDeviceComes) {
  Box b;
  b.device_online("gate");
  b.ask("1", kQueued);
  b.word("1", 1, Fate::dropped, "device_offline");
  b.turn();
  b.time += Ledger::kAgainMs;
  b.ledger->expire(b.at());
  b.turn();
  EXPECT_EQ(b.handed, Handed{"1#1"}) << "nobody has come";
  b.device_online("gate");
  b.turn();
  EXPECT_EQ(b.handed, (Handed{"1#1", "1#2"}));
}

TEST(Ledger, OneImmediateCommandABarrierAtATime) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  EXPECT_STREQ(b.ask("2", kImmediate).refusal.code, "device_busy");
  b.ledger->result("acme", "1", "gate", good(), b.at());
  EXPECT_EQ(b.ask("2", kImmediate).refusal.status, 0);
}

TEST(Ledger, QueuedCommandsWaitForTheirDeviceAndGoOutInOrder) {
  Box b;
  for (const char* id : {"c", "a", "b"}) {
    EXPECT_EQ(b.ask(id, kQueued).entry->command.state, State::waiting);
    ++b.time;
  }
  b.crash();
  b.device_online("gate");
  b.turn();
  EXPECT_EQ(b.handed, (Handed{"c#1", "a#1", "b#1"}));
}

TEST(Ledger, ADeviceGetsNoMoreAtATimeThanItsWindow) {
  Box b;
  b.device_online("gate");
  for (int i = 0; i < 20; ++i) b.ask("q" + std::to_string(i), kQueued);
  EXPECT_EQ(b.handed.size(), 16u);
  b.ledger->result("acme", "q3", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.handed.size(), 17u);
  EXPECT_EQ(b.handed.back(), "q16#1");
}

TEST(Ledger, TheNewestOfASlotReplacesWhatHasNotGoneOut) {
  Box b;
  b.submit("1", kLatest, "display", "a", "line1");
  b.turn();
  b.submit("2", kLatest, "display", "b", "line2");
  b.turn();
  b.submit("3", kLatest, "display", "c", "line1");
  b.turn();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::not_delivered});
  EXPECT_EQ(b.find("1")->command.code, "replaced");
  b.device_online("display");
  b.turn();
  EXPECT_EQ(b.handed, (Handed{"2#1", "3#1"}));
}

TEST(Ledger, TheOnlyCommandOfADeviceIsReplacedByTheNewestOfItsSlot) {
  Box b;
  b.submit("1", kLatest, "display", "a", "line");
  b.turn();
  b.submit("2", kLatest, "display", "b", "line");
  b.turn();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::not_delivered});
  b.device_online("display");
  b.turn();
  EXPECT_EQ(b.handed, Handed{"2#1"});
  b.ledger->result("acme", "2", "display", good(), b.at());
  b.turn();
  EXPECT_EQ(b.outcomes["2"], std::vector{Outcome::succeeded});
}

// The device has just come; who wants to hear of it has not been told yet.
TEST(Ledger, D1_AnImmediateCommandGoesOutAtOnceOrNotAtAll) {
  Box b;
  b.ask("waits", kQueued);
  b.device_offline("gate");
  b.comes_untold("gate");
  const Box::Said said = b.ask("1", kImmediate);
  ASSERT_TRUE(said.entry);
  EXPECT_EQ(said.entry->command.state, State::handed);
  EXPECT_EQ(b.handed, (Handed{"waits#1", "1#1"}));
}

TEST(Ledger, TheTimeOfACommandRunsFromItsRequest) {
  Box b;
  b.device_online("gate");
  const auto terms_of = [](const Asked&, Terms& t) {
    t = kImmediate;
    return Refusal{};
  };
  const auto ask = [&](const char* id, std::int64_t since_ms) {
    Asked a{.tenant = "acme", .id = id, .device = "gate"};
    a.since_ms = since_ms;
    b.ledger->submit(a, terms_of, b.at(), [](const Ledger::Answer&) {});
    b.turn();
  };
  b.time = 50'000;
  ask("old", 48'000);  // 2 s, in a socket or in the store of an engine that died
  EXPECT_EQ(b.outcomes["old"], std::vector{Outcome::expired});
  EXPECT_TRUE(b.handed.empty());
  ask("new", 48'500);
  EXPECT_EQ(b.find("new")->command.deadline, base::Instant{50'500});
  b.ledger->result("acme", "new", "gate", good(), b.at());
  b.turn();
  ask("ahead", 90'000);
  EXPECT_EQ(b.find("ahead")->command.deadline, base::Instant{52'000}) << "no clock makes it longer";
}

TEST(Ledger, NoTenantFillsTheRoomOfOthers) {
  Box b({.open_max = 8, .open_bytes_max = 64 * 1024});
  const auto code = [&](const std::string& tenant, const std::string& id, std::size_t bytes) {
    std::string out = "none";
    Asked a{.tenant = tenant, .id = id, .device = "d" + id};
    a.payload = std::string(bytes, 'x');
    b.ledger->submit(
        a,
        [](const Asked&, Terms& t) {
          t = kQueued;
          return Refusal{};
        },
        b.at(), [&out](const Ledger::Answer& r) { out = r.refusal.code; });
    b.turn();
    return out;
  };
  for (int i = 0; i < 6; ++i) EXPECT_EQ(code("evil", std::to_string(i), 0), "");
  EXPECT_EQ(code("evil", "6", 0), "too_many_commands");
  EXPECT_EQ(code("acme", "1", 0), "");
  b.crash();
  EXPECT_EQ(code("evil", "7", 0), "too_many_commands");
  EXPECT_EQ(code("acme", "2", 0), "");
  EXPECT_EQ(code("acme", "3", 0), "too_many_commands") << "the room of all";
  b.time += 60'000;
  b.ledger->expire(b.at());
  b.turn();
  EXPECT_EQ(code("evil", "8", 30 * 1024), "");
  EXPECT_EQ(code("evil", "9", 30 * 1024), "too_many_commands");
  EXPECT_EQ(code("acme", "4", 12 * 1024), "");
}

TEST(Ledger, ManyThatEndAtOnceEndInSeveralTurns) {
  Box b;
  for (int i = 0; i < 600; ++i) {
    b.submit(std::to_string(i), kQueued, "d" + std::to_string(i));
    b.turn();
  }
  b.time += 60'000;
  int turns = 0;
  for (; b.ledger->next_due() <= b.at().now && turns < 10; ++turns) {
    b.ledger->expire(b.at());
    b.turn();
  }
  EXPECT_EQ(b.ledger->open(), 0u);
  EXPECT_EQ(b.outcomes.size(), 600u);
  EXPECT_GT(turns, 1);
}

TEST(Ledger, ADeviceThatTakesNothingIsTriedMoreAndMoreRarely) {
  Box b;
  b.device_online("gate");
  b.ask("1", {.delivery = Delivery::queued, .ttl_ms = 86'400'000, .result_ms = 10'000});
  const std::int64_t begin = b.time;
  while (b.time < begin + 3'600'000) {
    b.word("1", static_cast<std::uint32_t>(b.handed.size()), Fate::dropped, "not_subscribed");
    b.time = b.ledger->next_due().ms;
    b.ledger->expire(b.at());
    b.turn();
  }
  EXPECT_GT(b.handed.size(), 30u);
  EXPECT_LT(b.handed.size(), 60u);
}

// A tag is known to an edge until its fate is taken, which may be after the command's outcome.
TEST(Ledger, NoIdChoosesTheTagOfAnotherCommand) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const std::uint64_t before = b.find("1")->serial;
  Box other;
  other.device_online("gate");
  other.ask("1", kImmediate);
  EXPECT_NE(other.find("1")->serial, before);
  EXPECT_FALSE(is_refusal(*b.find("1")));
}

TEST(Ledger, ACommandThatWaitsExpires) {
  Box b;
  b.ask("1", kQueued);
  b.time += 60'000;
  EXPECT_LE(b.ledger->next_due(), base::Instant{b.time});
  b.ledger->expire(b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::expired});
  b.device_online("gate");
  b.turn();
  EXPECT_TRUE(b.handed.empty());
}

// Nobody says when a device goes for which no command waits.
TEST(Ledger, ADesiredStateDoesNotHideThatItsDeviceHasGone) {
  Box b;
  b.device_online("gate");
  b.ask("hold", {.delivery = Delivery::desired, .ttl_ms = 1000, .result_ms = 1000});
  b.device_offline("gate");
  b.ask("list", kQueued);
  EXPECT_TRUE(b.handed.empty());
  EXPECT_EQ(b.find("list")->command.state, State::waiting);
  b.device_online("gate");
  b.commit();
  EXPECT_EQ(b.handed, Handed{"list#1"});
}

TEST(Ledger, ACommandIsNotCalledUnknownWhileTheStoreCannotBeRead) {
  Box b;
  b.store_fails = true;
  EXPECT_FALSE(b.find("1"));
  int status = 0;
  b.ledger->cancel("acme", "1", b.at(),
                   [&](const Ledger::Answer& a) { status = a.refusal.status; });
  b.turn();
  EXPECT_EQ(status, 503);
}

TEST(Ledger, ACallerMayShortenTheTimeButNotLengthenIt) {
  Box b;
  b.device_online("gate");
  Asked a{.tenant = "acme", .id = "1", .device = "gate"};
  const auto terms_of = [](const Asked&, Terms& t) {
    t = kImmediate;
    return Refusal{};
  };
  a.ttl_ms = 60'000;
  b.ledger->submit(a, terms_of, b.at(),
                   [](const Ledger::Answer& r) { EXPECT_EQ(r.entry->ttl_ms, 2000u); });
  b.turn();
  b.ledger->result("acme", "1", "gate", good(), b.at());
  a.id = "2";
  a.ttl_ms = 500;
  b.ledger->submit(a, terms_of, b.at(), [&](const Ledger::Answer& r) {
    EXPECT_EQ(r.entry->command.deadline, base::Instant{b.time}.plus_ms(500));
  });
  b.turn();
}

TEST(Ledger, AStoreThatCannotBeReadIsNoAcceptance) {
  Box b;
  b.device_online("gate");
  b.store_fails = true;
  EXPECT_STREQ(b.ask("1", kImmediate).refusal.code, "store_unavailable");
  EXPECT_TRUE(b.handed.empty());
}

TEST(Ledger, ItsRecordsStayAsTheyAre) {
  Entry e;
  e.asked = {.tenant = "acme", .id = "1", .device = "gate", .executor = "cam", .child = "c"};
  e.asked.payload = std::string("\0\xff", 2);
  e.asked.slot = "s";
  e.site = "north";
  e.ttl_ms = 7;
  e.command = {.delivery = Delivery::must, .state = State::sent, .deadline = {55}};
  e.command.sent_at = {44};
  e.command.log.push_back({1, State::sent, "x"});
  e.command.has_late_result = true;
  e.command.late_result = good();
  Entry out;
  ASSERT_TRUE(decode(encode(e), out));
  EXPECT_EQ(encode(out), encode(e));
  EXPECT_FALSE(decode("nonsense", out));
}

// A state of which the device may have heard is not said to be undone.
TEST(Ledger, ADesiredStateIsNotDeliveredOnlyIfTheDeviceWasNeverThere) {
  const Terms hold{.delivery = Delivery::desired, .ttl_ms = 1000, .result_ms = 1000};
  Box b;
  b.ask("absent", hold, "gate");
  b.ledger->replaced("acme", "absent", b.at());
  b.turn();
  EXPECT_EQ(b.outcomes["absent"], std::vector{Outcome::not_delivered});
  b.ask("comes", hold, "gate");
  EXPECT_FALSE(b.find("comes")->command.was_sent());
  b.device_online("gate");
  b.turn();
  EXPECT_TRUE(b.find("comes")->command.was_sent());
  b.crash();
  b.time += 3'600'000;
  b.ledger->expire(b.at());
  EXPECT_FALSE(b.find("comes")->command.done()) << "it waits for the device's answer";
  b.ledger->replaced("acme", "comes", b.at());
  b.turn();
  EXPECT_EQ(b.outcomes["comes"], std::vector{Outcome::uncertain});
  EXPECT_EQ(b.find("comes")->command.code, "replaced");
  b.ask("there", hold, "gate");
  int status = -1;
  b.ledger->cancel("acme", "there", b.at(),
                   [&](const Ledger::Answer& a) { status = a.refusal.status; });
  b.turn();
  EXPECT_EQ(status, 0);
  EXPECT_EQ(b.outcomes["there"], std::vector{Outcome::uncertain});
  EXPECT_FALSE(b.find("there")->command.safe_to_repeat());
  EXPECT_TRUE(b.handed.empty()) << "it is told by its document";
}

}  // namespace
}  // namespace berth::platform
