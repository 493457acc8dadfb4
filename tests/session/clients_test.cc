// Answers to clients, and the end of their connections.
#include "session/clients.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;
using protocol::mqtt::PacketType;
using protocol::mqtt::Reason;
using session::Channel;
using session::Deferred;

TEST(Clients, AConnectionEndsOnce) {
  CoreBox box;
  Channel& ch = box.client("c");
  box.core.clients.fail(ch, Reason::quota_exceeded, CloseReason::policy, "too much");
  box.core.clients.fail(ch, Reason::protocol_error, CloseReason::protocol_error);
  EXPECT_EQ(box.clients.take(), Strings{"farewell 97 too much"});
  ASSERT_EQ(box.effects.closed.size(), 1u);
  EXPECT_EQ(box.effects.closed[0].second, CloseReason::policy);
  EXPECT_EQ(ch.state, Channel::State::closing);
  EXPECT_TRUE(box.core.clients.ending().empty()) << "its edge has not said yet that it is closed";
}

TEST(Clients, OneThatItsEdgeHasClosedHasItsTurnToEnd) {
  CoreBox box;
  Channel& ch = box.client("c");
  ch.closed = CloseReason::client;
  box.cx.may_have_work = false;
  box.core.clients.end_soon(ch);
  EXPECT_EQ(box.core.clients.ending(), std::vector<base::ConnId>{ch.conn});
  EXPECT_TRUE(box.cx.may_have_work);
}

TEST(Clients, AnAnswerIsBehindWhatItsConnectionHasDeferred) {
  CoreBox box;
  Channel& ch = box.client("c");
  Channel& other = box.client("d");
  box.core.commits.barrier();
  box.core.commits.defer(ch, {.reply_type = PacketType::puback, .packet_id = 1});
  box.core.clients.defer_or_reply(ch, {.reply_type = PacketType::puback, .packet_id = 2});
  EXPECT_TRUE(box.clients.take().empty());
  box.core.clients.defer_or_reply(other, {.reply_type = PacketType::puback, .packet_id = 3});
  EXPECT_EQ(box.clients.take(), Strings{"ack 4 #3 00"}) << "others do not wait";
  box.commit();
  EXPECT_EQ(box.clients.take(), (Strings{"ack 4 #1 00", "ack 4 #2 00"}));
}

TEST(Clients, WhatHasNoAnswerIsNotAnswered) {
  CoreBox box;
  Channel& ch = box.client("c");
  box.core.clients.answer(ch, Deferred{});
  EXPECT_TRUE(box.clients.take().empty());
  const Deferred refused{.reply_type = PacketType::pubrec,
                         .reason = Reason::not_authorized,
                         .packet_id = 9,
                         .text = "why"};
  box.core.clients.answer(ch, refused);
  EXPECT_EQ(box.clients.take(), Strings{"ack 5 #9 87 why"});
}

TEST(Clients, InputIsReadAgainAfterTheLastDeferral) {
  CoreBox box;
  Channel& ch = box.client("c");
  ch.pending = 2;
  session::stall(ch);
  box.core.clients.end_deferral(ch);
  EXPECT_TRUE(ch.stalled);
  box.core.clients.end_deferral(ch);
  EXPECT_FALSE(ch.stalled);
  EXPECT_EQ(box.effects.resumed, std::vector<base::ConnId>{ch.conn});
}

TEST(Clients, InputOfAConnectionThatEndsIsNotReadAgain) {
  CoreBox box;
  Channel& ch = box.client("c");
  ch.pending = 1;
  session::stall(ch);
  box.core.clients.fail(ch, Reason::malformed_packet, CloseReason::protocol_error);
  ch.closed = CloseReason::protocol_error;
  box.core.clients.end_deferral(ch);
  EXPECT_TRUE(box.effects.resumed.empty());
  EXPECT_EQ(box.core.clients.ending().size(), 1u) << "but its end may have its turn now";
}

}  // namespace
}  // namespace berth::test
