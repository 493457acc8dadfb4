// Results and requests over MQTT, and an engine that dies meanwhile.
#include "platform/commands.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/platform/desk.h"

namespace berth::test {
namespace {

TEST(Commands, OnlyTheDeviceThatWasToldSaysTheResult) {
  Desk d;
  const int gate = d.gate();
  const int other = d.gate("other");
  const int service = d.service();
  const int namesake = d.come("acme/s/gate", "namesake");
  d.submit("1");
  d.says(other, "1");
  d.w.feed(namesake, publish("v1/north/gate/cmd/1/res", R"({"outcome":"EXECUTED"})", 0));
  d.w.feed(service, publish("v1/north/gate/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 1));
  EXPECT_EQ(d.find("1")->command().outcome(), 0u);
  d.says(gate, "1", "FAILED");
  EXPECT_EQ(d.state("1"), "FAILED ");
  EXPECT_EQ(d.heard(service), Texts{"1 FAILED"});
  EXPECT_EQ(d.w.probe().commands_failed, 1u);
  d.says(gate, "1");
  EXPECT_EQ(d.w.probe().command_results_late, 1u);
  EXPECT_EQ(d.heard(service), Texts{"1 SUCCEEDED"}) << "the late one has an event of its own";
  EXPECT_EQ(d.state("1"), "FAILED ");
}

// Else a result is lost when the engine dies between its PUBACK and the next commit.
TEST(Commands, AResultIsAcknowledgedWhenItsOutcomeIsDurable) {
  Desk d;
  const int gate = d.gate();
  d.submit("1");
  d.w.take_bytes(gate);
  d.w.hold_commits(true);
  d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 7));
  EXPECT_TRUE(d.w.packets(gate).empty()) << "not before the commit";
  d.w.hold_commits(false);
  const auto acks = d.w.packets(gate);
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].type, 4);
  EXPECT_EQ(d.state("1"), "SUCCEEDED ");
}

TEST(Commands, ALateResultIsKeptWhereverTheEngineDies) {
  bool died = true;
  int boundary = 0;
  for (; died && boundary < 2000; ++boundary) {
    SCOPED_TRACE(boundary);
    Desk d({}, boundary);
    d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
    const int gate = d.gate();
    // A question may die with its engine.
    for (int i = 0; i < 3 && d.submit("1")->status() != 200; ++i) d.pass_s(1);
    d.pass_s(1);
    d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"FAILED"})", 1, 7));
    d.pass_s(3);
    d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 8));
    d.pass_s(6);
    auto found = d.find("1");
    if (found->status() == 0) found = d.find("1");  // this question has died with its engine
    EXPECT_EQ(Desk::state(found), "FAILED ");
    EXPECT_TRUE(found->command().has_late_result());
    died = d.w.crashed();
  }
  EXPECT_GT(boundary, 20);
  EXPECT_FALSE(died);
}

TEST(Commands, ALateResultIsAcknowledgedWhenItIsDurable) {
  Desk d;
  const int gate = d.gate();
  d.submit("1");
  d.says(gate, "1", "FAILED");
  d.pass_s(1);
  d.w.take_bytes(gate);
  d.w.hold_commits(true);
  d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 7));
  EXPECT_TRUE(d.w.packets(gate).empty()) << "not before the commit";
  d.w.hold_commits(false);
  EXPECT_EQ(d.w.packets(gate).size(), 1u);
}

TEST(Commands, EachOutcomeIsCounted) {
  Desk d;
  const int gate = d.gate();
  const auto outcome = [&](const std::string& id, const std::string& said) {
    d.submit(id, kAdmin);
    if (!said.empty()) d.says(gate, id, said);
    d.pass_s(said.empty() ? 14 : 1);
    return d.state(id);
  };
  EXPECT_EQ(outcome("1", "EXECUTED"), "SUCCEEDED ");
  EXPECT_EQ(outcome("2", "REJECTED"), "REJECTED ");
  EXPECT_EQ(outcome("3", ""), "UNCERTAIN no_word");  // the edges of a World say nothing
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 1000, .result_ms = 1000};
  d.w.close(gate);
  EXPECT_EQ(outcome("4", ""), "EXPIRED expired");
  d.bounds.ttl_ms = 60'000;
  d.submit("5", kAdmin);
  d.pass_s(1);
  EXPECT_EQ(d.w.probe().commands_open, 1u);
  d.cancel("5");
  d.pass_s(1);
  EXPECT_EQ(d.state("5"), "NOT_DELIVERED cancelled");
  const metrics::EngineProbe& p = d.w.probe();
  EXPECT_EQ(p.commands_accepted, 5u);
  EXPECT_EQ(p.commands_succeeded + p.commands_rejected + p.commands_uncertain, 3u);
  EXPECT_EQ(p.commands_expired, 1u);
  EXPECT_EQ(p.commands_not_delivered, 1u);
  EXPECT_EQ(p.commands_open, 0u);
}

TEST(Commands, ARequestOverMqttHasItsOutcomeOrItsRefusalAsAnEvent) {
  Desk d;
  const int gate = d.gate();
  const int service = d.service();
  d.w.feed(service, publish(kTopic + "1/request/open", "", 1, 1));
  EXPECT_EQ(answer(d.w, service, 4, 2), 0xffffu) << "PUBACK: success is not said";
  d.says(gate, "1");
  EXPECT_EQ(d.heard(service), Texts{"1 SUCCEEDED"});
  d.w.feed(service, publish(kTopic + "2/request/explode", "", 1, 2));
  EXPECT_EQ(d.heard(service), Texts{"2 REJECTED"});
  EXPECT_EQ(d.w.probe().commands_refused, 1u);
  EXPECT_EQ(d.find("2")->code(), "no_such_command");
  d.w.close(gate);
  d.w.feed(service, publish(kTopic + "3/request/open", "", 1, 3));
  EXPECT_EQ(d.heard(service), Texts{"3 REJECTED"}) << "offline: refused, not kept";
}

// The engine dies at each of its boundaries between the PUBLISH and the event.
TEST(Commands, ARequestOverMqttHasItsAnswerWhereverTheEngineDies) {
  bool died = true;
  int boundary = 0;
  for (; died && boundary < 400; ++boundary) {
    Desk d({}, boundary);
    const int service = d.service();
    d.w.feed(service, publish(kTopic + "1/request/open", "", 1, 1));
    d.pass_s(1);
    const Texts events = d.heard(service);
    EXPECT_FALSE(events.empty()) << boundary;
    for (const std::string& e : events) EXPECT_EQ(e, "1 REJECTED") << boundary;
    died = d.w.crashed();
  }
  EXPECT_GT(boundary, 20);
  EXPECT_FALSE(died);
}

TEST(Commands, ItsTimeRunsFromTheMomentWhenTheGatewayGotIt) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 2000, .result_ms = 1000};
  d.pass_s(3);  // a new engine lets none expire at first
  const std::int64_t now = d.w.broker().messages_at(d.w.now()).ms;
  d.submit("1", [&](auto& q) { q.set_asked_ms(now - 1500); });
  d.submit("2", [&](auto& q) { q.set_asked_ms(now); });
  d.pass_s(1);
  EXPECT_EQ(d.state("1"), "EXPIRED expired");
  EXPECT_EQ(d.state("2"), "WAITING ");
}

TEST(Commands, WhatStoodInAQueueAndWasNeverSentIsNotUncertain) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 3000, .result_ms = 10'000};
  const std::string window("\x21\0\1", 3);  // Receive Maximum 1
  const int gate = d.gate("gate", {.clean = false, .properties = expiry(600) + window});
  d.submit("1");
  d.submit("2");
  const auto first = d.w.packets(gate);
  ASSERT_EQ(first.size(), 1u) << "no room for the second before the first's PUBACK";
  d.pass_s(5);
  d.w.feed(gate, ack(4, first[0].id()));
  EXPECT_EQ(d.w.packets(gate).size(), 0u);
  EXPECT_EQ(d.state("2"), "EXPIRED expired");
}

TEST(Commands, OneThatMayHaveBeenSentEndsWithItsSession) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
  int gate = d.gate("gate", {.clean = false, .properties = expiry(600)});
  d.submit("1");
  EXPECT_NE(d.w.take_bytes(gate), "");
  d.w.close(gate);
  gate = d.come("acme/d/gate", "gate", {.clean = true});  // without the session
  d.pass_s(1);
  EXPECT_EQ(d.state("1"), "UNCERTAIN session_ended");
}

}  // namespace
}  // namespace berth::test
