// A client's message: once, and acknowledged when it is durable where it must be.
#include "session/intake.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using protocol::mqtt::Reason;
using session::Channel;
using session::Quota;

struct Publishing {
  CoreBox box;
  Channel& publisher = box.client("p");
  explicit Publishing(bool replay = true) : box({}, replay) {}

  Channel& subscriber(const std::string& name, std::uint8_t qos, std::uint32_t expiry_s = 0,
                      std::uint32_t link = 0) {
    Channel& ch = box.client(name, expiry_s, link);
    box.core.subscriptions.add(*ch.session, "t", {qos}, 0);
    return ch;
  }
  static session::Publication packet(std::uint8_t qos, std::uint16_t id,
                                     std::string_view payload = "m") {
    return {.message = {.topic = "t", .payload = payload, .qos = qos}, .id = id};
  }
  void say(const session::Publication& p, Channel* by = nullptr) {
    Channel& ch = by != nullptr ? *by : publisher;
    ch.in_off += 10;
    const session::WorksFor scope(box.effects.work(), ch.conn);
    box.core.intake.accept(ch, p, box.core.distributor.match(p.message.topic), box.now);
  }
};

TEST(Intake, ToSessionsThatAreNotStoredItGoesAtOnce) {
  Publishing p;
  p.subscriber("s", 1);
  p.say(Publishing::packet(1, 7));
  EXPECT_EQ(p.box.clients.take(), (Strings{"deliver t m q1 #1", "ack 4 #7 00"}));
  EXPECT_TRUE(p.box.commit().empty());
}

TEST(Intake, ToAStoredSessionItIsDurableBeforeItIsAcknowledged) {
  Publishing p;
  Channel& s = p.subscriber("s", 1, 600);
  p.say(Publishing::packet(1, 7));
  EXPECT_TRUE(p.box.clients.take().empty());
  EXPECT_EQ(p.publisher.pending, 1u);
  p.box.commit();
  const Strings said = p.box.clients.take();
  EXPECT_EQ(said.size(), 2u) << "the acknowledgement, and the message";
  EXPECT_EQ(p.publisher.pending, 0u);
  EXPECT_EQ(s.session->flow().queued, 1u);
}

TEST(Intake, Qos0StaysBehindWhatItsPublisherHasWaiting) {
  Publishing p;
  session::Session& away = p.box.session("stored", 600);
  p.box.core.subscriptions.add(away, "t", {1}, 0);
  p.subscriber("volatile", 0);
  p.say(Publishing::packet(1, 7, "first"));
  p.say(Publishing::packet(0, 0, "second"));
  EXPECT_TRUE(p.box.clients.take().empty());
  p.box.commit();
  EXPECT_EQ(p.box.clients.take(),
            (Strings{"deliver t first q0", "ack 4 #7 00", "deliver t second q0"}));
}

TEST(Intake, NobodyToHearItIsSaidToWhoSpeaksVersion5) {
  Publishing p;
  p.say(Publishing::packet(1, 7));
  EXPECT_EQ(p.box.clients.take(), Strings{"ack 4 #7 10"});
  EXPECT_EQ(p.box.probe.drop_no_subscribers, 1u);
  p.publisher.version = protocol::mqtt::Version::v311;
  p.say(Publishing::packet(1, 8));
  EXPECT_EQ(p.box.clients.take(), Strings{"ack 4 #8 00"});
}

TEST(Intake, AQos2MessageThatIsSaidAgainIsAnsweredAndNotDelivered) {  // 4.3.3-10
  Publishing p;
  p.subscriber("s", 2);
  p.say(Publishing::packet(2, 7));
  EXPECT_EQ(p.box.clients.take(), (Strings{"deliver t m q2 #1", "ack 5 #7 00"}));
  p.say(Publishing::packet(2, 7));
  EXPECT_EQ(p.box.clients.take(), Strings{"ack 5 #7 00"});
  p.publisher.session->received->erase(7);  // PUBREL
  p.say(Publishing::packet(2, 7));
  EXPECT_EQ(p.box.clients.take().size(), 2u) << "a new message with this packet id";
}

TEST(Intake, ThePacketIdOfAStoredPublisherIsInTheBatchOfItsMessage) {
  Publishing p;
  Channel& stored = p.box.client("stored publisher", 600);
  Channel& s = p.subscriber("s", 2, 600);
  p.say(Publishing::packet(2, 7), &stored);
  const Strings wrote = p.box.commit();
  const std::string mine = std::to_string(stored.session->id.value);
  EXPECT_NE(std::find(wrote.begin(), wrote.end(), "put_received " + mine + " 7"), wrote.end());
  EXPECT_NE(
      std::find(wrote.begin(), wrote.end(), "append " + std::to_string(s.session->id.value) + " 1"),
      wrote.end());
  EXPECT_TRUE(stored.session->received->at(7).stored);
}

TEST(Intake, ARetainedMessageIsKeptWhenItIsDurable) {
  Publishing p;
  auto said = Publishing::packet(0, 0);
  said.message.retain = true;
  p.say(said);
  EXPECT_FALSE(p.box.core.retained.contains("t"));
  EXPECT_EQ(p.box.commit(), Strings{"put_retained t"});
  EXPECT_TRUE(p.box.core.retained.contains("t"));
}

TEST(Intake, WhatIsRefusedIsSaidByItsReasonOrJustAcknowledged) {
  Publishing p;
  const auto refuse = [&](std::uint8_t qos) {
    p.box.core.intake.refuse(p.publisher, Publishing::packet(qos, 7), Reason::quota_exceeded,
                             Quota::messages, "why");
    return p.box.clients.take();
  };
  EXPECT_TRUE(refuse(0).empty());
  EXPECT_EQ(refuse(1), Strings{"ack 4 #7 97 why"});
  const std::uint16_t before = p.publisher.unacked_in;
  EXPECT_EQ(refuse(2), Strings{"ack 5 #7 97 why"});
  EXPECT_EQ(p.publisher.unacked_in, before) << "a refused QoS 2 PUBLISH ends with its PUBREC";
  p.publisher.version = protocol::mqtt::Version::v311;
  EXPECT_EQ(refuse(1), Strings{"ack 4 #7 00 why"});
}

TEST(Intake, ARefusalIsBehindWhatItsPublisherHasWaiting) {
  Publishing p;
  p.subscriber("s", 1, 600);
  p.say(Publishing::packet(1, 7));
  p.box.core.intake.refuse(p.publisher, Publishing::packet(1, 8), Reason::not_authorized,
                           Quota::none);
  EXPECT_TRUE(p.box.clients.take().empty());
  p.box.commit();
  Strings acks;
  for (const std::string& line : p.box.clients.take())
    if (line.starts_with("ack")) acks.push_back(line);
  EXPECT_EQ(acks, (Strings{"ack 4 #7 00", "ack 4 #8 87"}));
}

}  // namespace
}  // namespace berth::test
