// What other partitions know of our subscriptions, and who waits for that.
#include "session/route_book.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"

namespace berth::test {
namespace {

// Partition 0 of three.
struct Routes final : session::CommitSink {
  static session::BrokerOptions three() {
    session::BrokerOptions o;
    o.partitions = 3;
    return o;
  }
  CoreBox box{three()};
  session::RouteBook book{box.cx, *this};
  Strings told;
  Strings ran;

  Routes() {
    book.watch([this](std::string_view raw, bool added) {
      told.push_back((added ? "+" : "-") + std::string(raw));
    });
  }
  bool run(session::Deferred& d, base::Instant now) override {
    d.call(now);
    return true;
  }
  void durable(session::Session&, base::Instant) override {}
  void refused(session::Session&) override {}

  void await(session::Channel& ch, const std::string& name, bool in_call = false) {
    book.await(
        ch, [this, name](base::Instant) { ran.push_back(name); }, in_call, box.now);
  }
  void pass(std::int64_t ms) {
    box.now.ms += ms;
    box.cx.latest = box.now;
  }
  Strings take() { return std::exchange(told, {}); }
};

TEST(RouteBook, AFilterIsToldWithItsFirstSubscription) {
  Routes r;
  r.book.count("a/#", 1);
  r.book.count("a/#", 1);
  EXPECT_EQ(r.take(), Strings{"+a/#"});
  EXPECT_EQ(r.book.number(), 1u);
  r.book.count("b", 1);
  EXPECT_EQ(r.take(), Strings{"+b"});
  EXPECT_EQ(r.book.number(), 2u);
  Strings all;
  r.book.for_each([&](std::string_view raw) { all.emplace_back(raw); });
  EXPECT_EQ(all.size(), 2u);
}

TEST(RouteBook, AFilterThatNobodyHasIsKeptAMinute) {
  Routes r;
  r.pass(0);
  r.book.count("a", 1);
  r.book.count("a", -1);
  r.take();
  r.pass(60'000);
  r.book.sweep(r.box.now);
  EXPECT_TRUE(r.take().empty()) << "devices come back";
  r.pass(1);
  r.book.sweep(r.box.now);
  EXPECT_EQ(r.take(), Strings{"-a"});
  EXPECT_EQ(r.book.number(), 2u);
  r.book.count("a", 1);
  EXPECT_EQ(r.take(), Strings{"+a"}) << "it is told anew";
}

TEST(RouteBook, AFilterThatWasNeededMeanwhileIsKeptAMinuteFromThenOn) {
  Routes r;
  r.pass(0);
  r.book.count("a", 1);
  r.book.count("a", -1);
  r.pass(30'000);
  r.book.count("a", 1);
  r.book.count("a", -1);
  r.take();
  r.pass(40'000);
  r.book.sweep(r.box.now);
  EXPECT_TRUE(r.take().empty());
  r.pass(60'000);
  r.book.sweep(r.box.now);
  EXPECT_EQ(r.take(), Strings{"-a"});
}

TEST(RouteBook, AFilterInUseIsNotSwept) {
  Routes r;
  r.pass(0);
  r.book.count("a", 1);
  r.book.count("a", -1);
  r.book.count("a", 1);
  r.take();
  r.pass(120'000);
  r.book.sweep(r.box.now);
  EXPECT_TRUE(r.take().empty());
  r.book.count("a", -1);
  r.pass(61'000);
  r.book.sweep(r.box.now);
  EXPECT_EQ(r.take(), Strings{"-a"}) << "and is swept when it is idle again";
}

TEST(RouteBook, AGroupWithoutAMemberIsTakenBackAtOnce) {
  Routes r;
  r.book.count("$share/g/a", 1);
  r.book.count("$share/g/a", -1);
  EXPECT_EQ(r.take(), (Strings{"+$share/g/a", "-$share/g/a"}));
}

TEST(RouteBook, AnAnswerWaitsUntilEveryOtherPartitionKnows) {
  Routes r;
  session::Channel& ch = r.box.client("c");
  EXPECT_TRUE(r.book.known());
  r.book.count("a", 1);
  EXPECT_FALSE(r.book.known());
  r.await(ch, "suback");
  EXPECT_TRUE(ch.stalled);
  EXPECT_EQ(ch.pending, 1u);
  r.book.reached(1, 1, r.box.now);
  EXPECT_TRUE(r.ran.empty()) << "the other one does not know";
  r.book.count("b", 1);
  r.await(ch, "second");
  r.book.reached(2, 1, r.box.now);
  EXPECT_EQ(r.ran, Strings{"suback"}) << "of the first change";
  r.book.reached(1, 2, r.box.now);
  r.book.reached(2, 2, r.box.now);
  EXPECT_EQ(r.ran, (Strings{"suback", "second"}));
  EXPECT_TRUE(r.book.known());
  EXPECT_EQ(r.box.probe.route_waits_expired, 0u);
}

TEST(RouteBook, APartitionThatBeginsAnewKnowsNothing) {
  Routes r;
  r.book.count("a", 1);
  r.book.reached(1, 1, r.box.now);
  r.book.reached(2, 1, r.box.now);
  r.book.reached(2, 0, r.box.now);
  EXPECT_TRUE(r.book.known()) << "what it has known it knows";
  r.book.begin_source(2);
  EXPECT_FALSE(r.book.known());
}

TEST(RouteBook, AWaitEndsAfterFiveSecondsAndIsCounted) {
  Routes r;
  session::Channel& ch = r.box.client("c");
  r.book.count("a", 1);
  r.await(ch, "suback");
  r.pass(4'999);
  r.book.release_waits(r.box.now);
  EXPECT_TRUE(r.ran.empty());
  r.pass(1);
  r.book.release_waits(r.box.now);
  EXPECT_EQ(r.ran, Strings{"suback"});
  EXPECT_EQ(r.box.probe.route_waits_expired, 1u);
}

TEST(RouteBook, ACallThatWaitsSaysSoOnceAndHoldsNothingUpItself) {
  Routes r;
  session::Channel& ch = r.box.client("c");
  EXPECT_FALSE(r.book.call_waits());
  r.book.count("a", 1);
  r.await(ch, "in a call", true);
  EXPECT_FALSE(ch.stalled) << "its connection is held up already";
  EXPECT_EQ(ch.pending, 0u);
  EXPECT_TRUE(r.book.call_waits());
  EXPECT_FALSE(r.book.call_waits());
}

TEST(RouteBook, ALinkThatBrokeWaitsForNothing) {
  Routes r;
  r.book.count("a", 1);
  r.await(r.box.client("here", 0, 0), "here");
  r.await(r.box.client("there", 0, 1), "there");
  r.book.drop_link(1);
  r.pass(5'000);
  r.book.release_waits(r.box.now);
  EXPECT_EQ(r.ran, Strings{"here"});
}

}  // namespace
}  // namespace berth::test
