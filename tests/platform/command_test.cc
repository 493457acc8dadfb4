// The state machine of a command, on a clock that the test moves. Danger cases D1 to D6 as far as
// one command by itself can show them.
#include "platform/command.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "platform/command_results.h"
#include "protocol/messages/envelope.pb.h"

namespace berth::platform {
namespace {

At at(std::int64_t ms) {
  return {{ms}, 1'700'000'000'000 + ms};
}

Command immediate(std::int64_t ttl_ms = 2000) {
  return {.delivery = Delivery::immediate, .deadline = {ttl_ms}, .result_ms = 0};
}
Command queued(std::int64_t ttl_ms = 60'000) {
  return {.delivery = Delivery::queued, .deadline = {ttl_ms}, .result_ms = 10'000};
}
Result succeeded() {
  return {.outcome = Outcome::succeeded, .code = "200"};
}

TEST(Command, ItsResultInTimeIsItsOutcome) {
  Command c = immediate();
  EXPECT_EQ(hand(c, at(1)), Change::recorded);
  EXPECT_EQ(sent(c, 1, at(2)), Change::recorded);
  EXPECT_EQ(result(c, succeeded(), at(300)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::succeeded);
  EXPECT_EQ(c.code, "200");
  EXPECT_EQ(due(c), base::kNever);
}

TEST(Command, AResultTellsThatItWasSentThoughTheEdgesWordIsNotThereYet) {
  Command c = immediate();
  hand(c, at(1));
  EXPECT_EQ(result(c, succeeded(), at(30)), Change::finished);
  EXPECT_TRUE(c.was_sent());
  EXPECT_EQ(sent(c, 1, at(31)), Change::recorded) << "the word is taken, the state stays";
  EXPECT_EQ(c.state, State::done);
}

TEST(Command, D6_AFinalStateStaysAndALateResultStandsBesideIt) {
  Command c = immediate();
  hand(c, at(1));
  sent(c, 1, at(2));
  EXPECT_EQ(expire(c, at(1999)), Change::none);
  EXPECT_EQ(expire(c, at(2000)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::uncertain);
  EXPECT_FALSE(c.safe_to_repeat());
  EXPECT_EQ(result(c, succeeded(), at(2500)), Change::late);
  EXPECT_EQ(c.outcome, Outcome::uncertain);
  EXPECT_EQ(c.late_result.outcome, Outcome::succeeded);
  EXPECT_EQ(result(c, succeeded(), at(2600)), Change::none) << "counted once";
}

TEST(Command, D1_WhatWasNeverHandedOutExpiresAndIsNotHandedOutAfterwards) {
  Command c = queued(5000);
  EXPECT_EQ(wait(c, at(0)), Change::recorded);
  EXPECT_EQ(due(c), base::Instant{5000});
  EXPECT_EQ(hand(c, at(5000)), Change::finished) << "the device has come at the deadline";
  EXPECT_EQ(c.outcome, Outcome::expired);
  EXPECT_EQ(c.attempt, 0u);
  EXPECT_TRUE(c.safe_to_repeat());
}

TEST(Command, WithoutAWordOfTheEdgeItIsUncertainWhenTheGraceIsOver) {
  Command c = immediate();
  hand(c, at(1));
  EXPECT_EQ(expire(c, at(2000)), Change::none);
  EXPECT_EQ(due(c), base::Instant{2000 + kWordGraceMs});
  EXPECT_EQ(expire(c, at(2000 + kWordGraceMs)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::uncertain);
}

TEST(Command, ADropWithinTheGraceIsSafeToRepeat) {
  Command c = immediate();
  hand(c, at(1));
  EXPECT_EQ(dropped(c, 1, "too_late", at(2100)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::expired);
  EXPECT_TRUE(c.safe_to_repeat());
}

// The deadline is that of the sending; a barrier that moves for three seconds says so afterwards.
TEST(Command, AnImmediateOneThatWasSentHasTheTimeOfItsTypeForTheResult) {
  Command c{.delivery = Delivery::immediate, .deadline = {2000}, .result_ms = 5000};
  hand(c, at(0));
  sent(c, 1, at(100));
  EXPECT_EQ(due(c), base::Instant{5100});
  EXPECT_EQ(expire(c, at(5099)), Change::none);
  EXPECT_EQ(result(c, succeeded(), at(5099)), Change::finished);
  Command silent{.delivery = Delivery::immediate, .deadline = {2000}, .result_ms = 500};
  hand(silent, at(0));
  sent(silent, 1, at(100));
  EXPECT_EQ(due(silent), base::Instant{2000}) << "not before the deadline";
}

TEST(Command, AnImmediateOneThatIsDroppedIsNotTriedAgain) {
  Command c = immediate();
  hand(c, at(1));
  EXPECT_EQ(dropped(c, 1, "device_offline", at(20)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::not_delivered);
  EXPECT_EQ(c.code, "device_offline");
}

TEST(Command, AQueuedOneThatIsDroppedWaitsAgain) {
  Command c = queued();
  hand(c, at(1));
  EXPECT_EQ(dropped(c, 1, "device_offline", at(20)), Change::recorded);
  EXPECT_EQ(c.state, State::waiting);
  EXPECT_EQ(hand(c, at(500)), Change::recorded);
  EXPECT_EQ(c.attempt, 2u);
  EXPECT_EQ(sent(c, 2, at(501)), Change::recorded);
  EXPECT_EQ(received(c, 1, at(502)), Change::recorded);
  EXPECT_EQ(result(c, succeeded(), at(600)), Change::finished);
}

TEST(Command, AWordIsTakenOnceAndOnlyOfAnAttemptThatWasMade) {
  Command c = queued();
  hand(c, at(1));
  EXPECT_EQ(sent(c, 2, at(2)), Change::none);
  EXPECT_EQ(sent(c, 0, at(2)), Change::none);
  EXPECT_EQ(sent(c, 1, at(2)), Change::recorded);
  EXPECT_EQ(sent(c, 1, at(3)), Change::none);
  EXPECT_EQ(dropped(c, 1, "x", at(3)), Change::none);
}

TEST(Command, D2_WhatTheDeviceHasNotAcknowledgedAtTheDeadlineIsUncertain) {
  Command c = immediate();
  hand(c, at(1));
  EXPECT_EQ(cut_off(c, 1, "cut_off", at(2000)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::uncertain);
  EXPECT_FALSE(c.safe_to_repeat());
}

TEST(Command, AQueuedOneHasTimeForItsResultAfterItWasSent) {
  Command c = queued(1000);
  hand(c, at(900));
  sent(c, 1, at(950));
  EXPECT_EQ(due(c), base::Instant{950 + 10'000});
  EXPECT_EQ(expire(c, at(1000)), Change::none);
  EXPECT_EQ(expire(c, at(10'950)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::uncertain);
}

TEST(Command, OneThatMustArriveIsHandedOutUntilItIsReceived) {
  Command c{.delivery = Delivery::must, .deadline = {86'400'000}, .result_ms = 10'000};
  hand(c, at(1));
  sent(c, 1, at(2));
  EXPECT_EQ(due(c), base::Instant{86'400'000}) << "no acknowledgement yet: it goes on";
  hand(c, at(5000));  // another connection
  EXPECT_EQ(dropped(c, 2, "device_offline", at(5001)), Change::recorded);
  EXPECT_EQ(c.state, State::sent);
  hand(c, at(9000));
  sent(c, 3, at(9001));
  received(c, 1, at(9002));
  EXPECT_EQ(result(c, succeeded(), at(9100)), Change::finished);
}

TEST(Command, ADropOfOneAttemptSaysNothingOfAnother) {
  Command c{.delivery = Delivery::must, .deadline = {86'400'000}, .result_ms = 10'000};
  hand(c, at(1));
  hand(c, at(2));
  dropped(c, 1, "device_offline", at(3));
  EXPECT_EQ(c.state, State::handed) << "the second one may be on its way";
  hand(c, at(4));
  received(c, 2, at(5));
  dropped(c, 3, "device_offline", at(6));
  EXPECT_EQ(c.state, State::received) << "the device has it";
}

// A connection may end after its edge has said that the command was written.
TEST(Command, ACutOffBehindAWordCountsForThatAttemptOnly) {
  Command c = immediate();
  hand(c, at(1));
  sent(c, 1, at(2));
  EXPECT_EQ(cut_off(c, 1, "cut_off", at(3)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::uncertain);
  Command again{.delivery = Delivery::must, .deadline = {86'400'000}, .result_ms = 10'000};
  hand(again, at(1));
  EXPECT_EQ(cut_off(again, 1, "cut_off", at(2)), Change::recorded) << "one that must arrive";
  EXPECT_EQ(again.state, State::waiting);
  EXPECT_EQ(cut_off(again, 1, "cut_off", at(3)), Change::none) << "said twice";
  hand(again, at(4));
  sent(again, 2, at(5));
  EXPECT_EQ(cut_off(again, 1, "cut_off", at(6)), Change::none) << "an attempt of before";
  EXPECT_EQ(cut_off(again, 2, "cut_off", {{86'400'000}, 0}), Change::finished);
}

TEST(Command, ARefusalOfTheDeviceIsTakenOnce) {
  Command c = queued();
  EXPECT_EQ(refused(c, 1, "refused_by_device", at(1)), Change::none) << "never handed out";
  hand(c, at(2));
  EXPECT_EQ(refused(c, 1, "refused_by_device", at(3)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::rejected);
}

TEST(Command, TheResultThatIsItsOutcomeIsNotLateWhenItIsSaidAgain) {
  Command c = immediate();
  hand(c, at(1));
  result(c, succeeded(), at(2));
  EXPECT_EQ(result(c, succeeded(), at(3)), Change::none);
  Result other = succeeded();
  other.outcome = Outcome::failed;
  EXPECT_EQ(result(c, other, at(4)), Change::late);
}

TEST(Command, WhatComesAfterItsDeadlineDoesNotWait) {
  Command c = queued(1000);
  EXPECT_EQ(wait(c, at(1000)), Change::finished);
  EXPECT_EQ(c.outcome, Outcome::expired);
}

TEST(Command, CancelWorksUntilItMayBeOnItsWay) {
  Change change{};
  Command waits = queued();
  wait(waits, at(1));
  EXPECT_TRUE(cancel(waits, at(2), change));
  EXPECT_EQ(change, Change::finished);
  EXPECT_EQ(waits.outcome, Outcome::not_delivered);
  EXPECT_EQ(waits.code, "cancelled");
  Command on_its_way = queued();
  hand(on_its_way, at(1));
  EXPECT_FALSE(cancel(on_its_way, at(2), change));
  EXPECT_EQ(change, Change::none);
  dropped(on_its_way, 1, "device_offline", at(3));
  EXPECT_TRUE(cancel(on_its_way, at(4), change));
  EXPECT_FALSE(cancel(on_its_way, at(5), change)) << "it has its outcome";
  Command written = queued();
  hand(written, at(1));
  sent(written, 1, at(2));
  EXPECT_FALSE(cancel(written, at(3), change));
}

TEST(Command, TheLogIsBoundedAndKeepsItsBeginningAndEnd) {
  Command c = queued(10'000'000);
  for (int i = 0; i < 100; ++i) {
    hand(c, at(i));
    dropped(c, c.attempt, "device_offline", at(i));
  }
  EXPECT_EQ(c.log.size(), kTransitionsMax);
  EXPECT_EQ(c.log.front().wall_ms, at(0).wall_ms);
  EXPECT_EQ(c.log.back().wall_ms, at(99).wall_ms);
}

// Whatever happens in whatever order: it ends, once, and its outcome tells the truth about bytes.
TEST(Command, AnySequenceOfEventsEndsInOneOutcomeThatIsTrue) {
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    std::mt19937 random(seed);
    Command c = seed % 2 == 0 ? immediate() : queued(3000);
    bool written = false;
    int finished = 0;
    std::int64_t now = 0;
    const auto take = [&](Change change) {
      finished += change == Change::finished ? 1 : 0;
      if (finished == 0) return;
      ASSERT_TRUE(c.done());
    };
    for (int step = 0; step < 12; ++step) {
      now += random() % 400;
      const std::uint32_t attempt = c.attempt == 0 ? 0 : 1 + random() % c.attempt;
      switch (random() % 6) {
        case 0:
          if (!c.done() && c.unanswered == 0 && !c.was_sent()) take(hand(c, at(now)));
          break;
        case 1:
          if (c.unanswered != 0) written = true;
          take(sent(c, attempt, at(now)));
          break;
        case 2:
          take(dropped(c, attempt, "device_offline", at(now)));
          break;
        case 3:
          if (written) take(result(c, succeeded(), at(now)));
          break;
        case 4:
          if (written) take(received(c, 1, at(now)));
          break;
        case 5:
          take(expire(c, at(now)));
          break;
      }
    }
    while (!c.done()) {
      ASSERT_NE(due(c), base::kNever) << seed;
      take(expire(c, {due(c), 0}));
    }
    EXPECT_EQ(finished, 1) << seed;
    if (written && c.unanswered == 0) {
      EXPECT_NE(c.outcome, Outcome::expired) << seed;
    }
    if (c.outcome == Outcome::succeeded) {
      EXPECT_TRUE(written) << seed;
    }
    if (!written && c.unanswered == 0) {
      EXPECT_TRUE(c.safe_to_repeat()) << seed << " " << name_of(c.outcome);
    }
  }
}

// What a device says of a command, as it says it, and as a tenant's translation makes an Envelope
// of it.
TEST(CommandResult, IsTheSameInEachFormThatADevicesWordsHave) {
  const std::string_view alone = R"({"outcome":"EXECUTED","code":"200"})";
  v1::Envelope of_result;
  of_result.mutable_result()->set_outcome(v1::EXECUTED);
  of_result.mutable_result()->set_code("200");
  v1::Envelope of_json;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(std::string(alone), of_json.mutable_json()).ok());
  std::vector<std::string> forms{std::string(alone)};
  for (const v1::Envelope* e : {&of_result, &of_json}) {
    forms.push_back(e->SerializeAsString());
    forms.emplace_back();
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(*e, &forms.back()).ok());
  }
  for (const std::string& form : forms) {
    std::string id;
    Result r;
    ASSERT_TRUE(read_result("$tenant/acme/v1/north/gate/cmd/c7/res", form, id, r));
    EXPECT_EQ(id, "c7");
    EXPECT_EQ(r.outcome, Outcome::succeeded) << form;
    EXPECT_EQ(r.code, "200") << form;
  }
}

TEST(CommandResult, ThatCannotBeReadIsUncertain) {
  for (const std::string& form : {std::string("{"), std::string("done"), std::string(),
                                  std::string(kResultMax + 1, ' ') + R"({"outcome":"EXECUTED"})"}) {
    std::string id;
    Result r;
    ASSERT_TRUE(read_result("$tenant/acme/v1/north/gate/sub/c/cmd/c7/res", form, id, r));
    EXPECT_EQ(id, "c7");
    EXPECT_EQ(r.outcome, Outcome::uncertain);
    EXPECT_EQ(r.code, "unreadable_result");
  }
  for (const char* topic :
       {"v1/north/gate/cmd/c7/res", "$tenant/acme/v2/north/gate/cmd/c7/res",
        "$tenant/acme/v1/north/gate/cmd/res", "$tenant/acme/v1/north/gate/cmd/a/b/res",
        "$tenant/acme/v1/north/gate/cmd/c7/req", "$tenant/acme/v1/north"}) {
    std::string id;
    Result r;
    EXPECT_FALSE(read_result(topic, "{}", id, r)) << topic;
  }
}

TEST(Command, WhatIsRefusedAgainIsNotWorthRepeating) {
  for (const auto& [code, safe] : std::map<std::string, bool>{{"unknown_type", false},
                                                              {"ttl_too_long", false},
                                                              {"device_not_found", false},
                                                              {"idempotency_conflict", false},
                                                              {"device_busy", true},
                                                              {"busy", true},
                                                              {"arm_is_down", true}}) {
    Command c;
    refuse(c, Outcome::rejected, code, "", at(0));
    EXPECT_EQ(c.safe_to_repeat(), safe) << code;
  }
}

}  // namespace
}  // namespace berth::platform
